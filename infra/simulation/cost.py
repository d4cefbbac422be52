"""What a month costs: what is there anyway, what each compile adds, and both per compile."""

from dataclasses import dataclass

from infra.simulation import prices

# A task of the template: one core, 2 GiB.
TASK_VCPU, TASK_GB = 1.0, 2.0
FUNCTION_GB = 0.5
# One call per compile, with `wait`: it lasts as long as the compile and what it waits for, and some overhead.
FUNCTION_OVERHEAD_SECONDS = 0.15
# Reads and writes of a job in Redis are some 30 commands and scripts, some of which move a source or a
# result.
UNITS_PER_COMPILE = 80
# Heartbeats, claims and sweeps of a runner with nothing to do: three commands a second.
UNITS_PER_RUNNER_SECOND = 3.0
KB_PER_JOB = 4.0  # a source of 1 or 2 KB, a result of as much, two hashes around them
LOG_BYTES_PER_COMPILE = 600
IMAGE_GB = 0.5
ENDPOINTS = 4


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
        """Without what is there anyway."""
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
    egress: str = "endpoints",
    zones: int = 1,
    cache: str = "serverless",
    spot: bool = True,
    free_tier: bool = True,
) -> Bill:
    """A month with that many compiles and hours of tasks; a call waits `seconds_per_call`."""
    hours = prices.HOURS_PER_MONTH
    ways = zones * ENDPOINTS * prices.ENDPOINT_HOUR if egress == "endpoints" else prices.NAT_HOUR
    # Three alarms and metrics more than what is free cost nothing here: we are below ten of each.
    watching = 0.0 if free_tier else 6 * prices.METRIC_MONTH + 8 * prices.ALARM_MONTH
    fixed = ways * hours + prices.SECRET_MONTH + IMAGE_GB * prices.IMAGE_GB_MONTH + watching
    gb_seconds = compiles * FUNCTION_GB * (seconds_per_call + FUNCTION_OVERHEAD_SECONDS)
    calls = compiles
    if free_tier:
        gb_seconds = max(0.0, gb_seconds - prices.LAMBDA_FREE_GB_SECONDS)
        calls = max(0.0, calls - prices.LAMBDA_FREE_REQUESTS)
    requests = (
        compiles * prices.API_GATEWAY_REQUEST
        + calls * prices.LAMBDA_REQUEST
        + gb_seconds * prices.LAMBDA_GB_SECOND
        + compiles * LOG_BYTES_PER_COMPILE / 1e9 * prices.LOG_GB
    )
    return Bill(
        fixed=fixed,
        requests=requests,
        runners=task_hours * task_hour(spot=spot),
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
