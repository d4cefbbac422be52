"""What becomes the limit as the number of runners grows, and at how many.

Each limit is a rate that something allows, divided by what one runner uses of it when it is busy all the
time.
"""

from dataclasses import dataclass

# A busy runner of one core: compiles a second, at the model's mean of 0.49 processor seconds.
COMPILES_PER_RUNNER_SECOND = 2.0
# Commands in Redis for one compile (submit, claim, complete, wait, read), and of a runner besides: a claim
# each second, a renewal each 0.4 s, a registration and a sweep each 5 s.
COMMANDS_PER_COMPILE, COMMANDS_PER_RUNNER_SECOND = 30.0, 4.0
# The coordination keys are in one slot, so one shard does all scripts. 30,000 units a second is what AWS
# gives a slot of a serverless cache; for nodes it is assumed, on the safe side, that a script does the work
# of a few commands.
SLOT_COMMANDS_SECOND = {"serverless": 30_000.0, "cache.t4g.small": 20_000.0, "cache.m7g.large": 60_000.0}
# Connections of a runner: what it uses at once (claim, renewal, one per worker twice), and of a function.
CONNECTIONS_PER_RUNNER, CONNECTIONS_PER_FUNCTION = 4.0, 2.0
REDIS_CONNECTIONS = 65_000.0
# A function waits while its job compiles: calls in flight are compiles a second times seconds each.
SECONDS_PER_CALL = 0.8
LAMBDA_CONCURRENCY = 1000.0
# API Gateway: 10,000 requests a second for an account and region.
API_REQUESTS_SECOND = 10_000.0
# Private addresses: two subnets of 4,091.
ADDRESSES = 2 * 4091.0
# Fargate Spot vCPUs that an account may use at once. An assumption: each account has a quota of its own,
# a new one a lower one, and it is raised on request.
SPOT_VCPUS = 256.0


@dataclass(frozen=True)
class Limit:
    """Something that ends: at how many busy runners, and what to do then."""

    name: str
    runners: float
    remedy: str


def limits(cache: str = "serverless") -> list[Limit]:
    """All of them, the nearest first."""
    per_runner = COMPILES_PER_RUNNER_SECOND
    commands = per_runner * COMMANDS_PER_COMPILE + COMMANDS_PER_RUNNER_SECOND
    functions = per_runner * SECONDS_PER_CALL
    connections = CONNECTIONS_PER_RUNNER + functions * CONNECTIONS_PER_FUNCTION
    found = [
        Limit(
            "a quota of 256 Fargate Spot vCPUs",
            SPOT_VCPUS,
            "ask for more in Service Quotas (they give thousands)",
        ),
        Limit(
            "commands in the slot of the queue",
            SLOT_COMMANDS_SECOND[cache] / commands,
            "a larger node, or two stages",
        ),
        Limit(
            "Lambda concurrency",
            LAMBDA_CONCURRENCY / functions,
            "ask for more; or submit without `wait` and ask later",
        ),
        Limit("connections to Redis", REDIS_CONNECTIONS / connections, "it does not come to that"),
        Limit("requests at API Gateway", API_REQUESTS_SECOND / per_runner, "ask for more in Service Quotas"),
        Limit("addresses in the subnets", ADDRESSES - 10, "a larger VpcCidr"),
    ]
    return sorted(found, key=lambda each: each.runners)
