"""What a month costs: the fixed part, what the compiles add, and both per compile."""

from dataclasses import dataclass

from tools.capacity import prices

# A task of the template: one core, 2 GiB.
TASK_VCPU, TASK_GB = 1.0, 2.0
FUNCTION_GB = 0.5
# One call per compile, with `wait`: it lasts as long as waiting and compiling, plus this overhead.
FUNCTION_OVERHEAD_SECONDS = 0.15
# A job takes some 30 commands and scripts in Redis; some of them move a source or a result, which is more
# units.
UNITS_PER_COMPILE = 80
# A runner without jobs: renewals, claims and sweeps are three commands a second.
UNITS_PER_RUNNER_SECOND = 3.0
KB_PER_JOB = 4.0  # a source of 1 or 2 KB, a result of as much, two hashes around them
LOG_BYTES_PER_COMPILE = 600
# Compressed; 5.1 GB on disk. An image of 3.84 GB was measured as 1.9 GB after `gzip -1`, and this is in
# proportion. Older images, kept for a rollback, share most layers with it.
IMAGE_GB = 2.4
ENDPOINTS = 4
# Metrics that are published, and metrics that alarms read: one each for five alarms and the two of target
# tracking, two each for the scheduled function, for the nodes of Redis and for runners that do not start,
# three for the step from zero, four for the step to zero.
METRICS, ALARMS = 7, 20


@dataclass(frozen=True)
class Bill:
    """US dollars a month."""

    fixed: float
    requests: float
    runners: float
    redis: float
    compiles: float

    @property
    def total(self) -> float:
        return self.fixed + self.requests + self.runners + self.redis

    @property
    def per_compile(self) -> float:
        return self.total / self.compiles

    @property
    def variable_per_compile(self) -> float:
        """Without the fixed part."""
        return (self.total - self.fixed) / self.compiles


def task_hour(*, spot: bool = True) -> float:
    """An hour of one task."""
    full = TASK_VCPU * prices.FARGATE_VCPU_HOUR + TASK_GB * prices.FARGATE_GB_HOUR
    return full * prices.SPOT_SHARE if spot else full


def bill(
    compiles: float,
    task_hours: float,
    *,
    seconds_per_call: float,
    starts: float = 0,
    egress: str = "endpoints",
    layers: str = "gateway",
    zones: int = 1,
    cache: str = "cache.t4g.small",
    spot: bool = True,
    free_tier: bool = True,
) -> Bill:
    """The bill of a month with this many compiles, task hours and starts; a call lasts `seconds_per_call`.

    `egress` is the parameter of the network. `layers` is how an image's layers come, all of them at each
    start: through "gateway", the free endpoint that a new network always has, or "nat" in a network without
    it.
    """
    hours = prices.HOURS_PER_MONTH
    nat = prices.NAT_HOUR + prices.PUBLIC_ADDRESS_HOUR
    egress_hour = zones * ENDPOINTS * prices.ENDPOINT_HOUR if egress == "endpoints" else nat
    egress_gb = prices.ENDPOINT_GB if egress == "endpoints" else prices.NAT_GB
    metrics, alarms = METRICS, ALARMS
    if free_tier:
        metrics, alarms = max(0, metrics - prices.FREE_METRICS), max(0, alarms - prices.FREE_ALARMS)
    monitoring = metrics * prices.METRIC_MONTH + alarms * prices.ALARM_MONTH
    fixed = egress_hour * hours + prices.SECRET_MONTH + IMAGE_GB * prices.IMAGE_GB_MONTH + monitoring
    gb_seconds = compiles * FUNCTION_GB * (seconds_per_call + FUNCTION_OVERHEAD_SECONDS)
    calls = compiles
    if free_tier:
        gb_seconds = max(0.0, gb_seconds - prices.LAMBDA_FREE_GB_SECONDS)
        calls = max(0.0, calls - prices.LAMBDA_FREE_REQUESTS)
    requests = (
        compiles * prices.API_GATEWAY_REQUEST
        + calls * prices.LAMBDA_REQUEST
        + gb_seconds * prices.LAMBDA_GB_SECOND
        + compiles * LOG_BYTES_PER_COMPILE / 1e9 * (prices.LOG_GB + egress_gb)
    )
    pulls = 0.0 if layers == "gateway" else starts * IMAGE_GB * prices.NAT_GB
    return Bill(
        fixed=fixed,
        requests=requests,
        runners=task_hours * task_hour(spot=spot) + pulls,
        redis=_redis(compiles, task_hours, cache),
        compiles=compiles,
    )


def _redis(compiles: float, task_hours: float, cache: str) -> float:
    hours = prices.HOURS_PER_MONTH
    if cache != "serverless":
        # A primary and a replica.
        return 2 * prices.CACHE_NODE_HOUR[cache] * hours
    stored_gb = max(prices.SERVERLESS_LEAST_GB, compiles / 30.4 * KB_PER_JOB / 1e6)
    units = compiles * UNITS_PER_COMPILE + task_hours * 3600 * UNITS_PER_RUNNER_SECOND
    return stored_gb * prices.SERVERLESS_GB_HOUR * hours + units * prices.SERVERLESS_UNIT
