"""Which limits stop growth, and at how many runners.

Each limit is the rate that a service allows, divided by what one runner uses when it is busy all the time.
"""

from dataclasses import dataclass

# A busy runner of one core: compiles a second, at the model's mean of 0.49 processor seconds.
COMPILES_PER_RUNNER_SECOND = 2.0
# Commands in Redis for one compile (submit, claim, complete, wait, read), and those of each runner: a claim
# every second, a renewal every 0.4 s, a registration and a sweep every 5 s.
COMMANDS_PER_COMPILE, COMMANDS_PER_RUNNER_SECOND = 30.0, 4.0
# The coordination keys are in one slot, so one shard runs all scripts. AWS allows 30,000 units a second for a
# slot of a serverless cache; for nodes we assume that a script costs as much as a few commands. A t4g node
# keeps that up for minutes: it is burstable, and its share for hours of full load is a fifth of a core.
SLOT_COMMANDS_SECOND = {"serverless": 30_000.0, "cache.t4g.small": 20_000.0, "cache.m7g.large": 60_000.0}
# Connections that a runner uses at the same time (claim, renewal, two for each worker), and a function.
CONNECTIONS_PER_RUNNER, CONNECTIONS_PER_FUNCTION = 4.0, 2.0
REDIS_CONNECTIONS = 65_000.0
# A function waits while its job compiles: calls at the same time are compiles a second × seconds each.
SECONDS_PER_CALL = 0.8
LAMBDA_CONCURRENCY = 1000.0
# API Gateway: 10,000 requests a second for an account and region.
API_REQUESTS_SECOND = 10_000.0
# Private addresses: two subnets of 4,091.
ADDRESSES = 2 * 4091.0
# Fargate Spot vCPUs that an account may use at the same time. An assumption: each account has its own
# quota, a new account a lower one, and AWS raises it on request.
SPOT_VCPUS = 256.0


@dataclass(frozen=True)
class Limit:
    """A limit: how many busy runners reach it, and what to do then."""

    name: str
    runners: float
    hint: str


def limits(cache: str = "cache.t4g.small") -> list[Limit]:
    """All limits; the one that is reached first comes first."""
    per_runner = COMPILES_PER_RUNNER_SECOND
    commands = per_runner * COMMANDS_PER_COMPILE + COMMANDS_PER_RUNNER_SECOND
    functions = per_runner * SECONDS_PER_CALL
    connections = CONNECTIONS_PER_RUNNER + functions * CONNECTIONS_PER_FUNCTION
    all_limits = [
        Limit(
            "a quota of 256 Fargate Spot vCPUs",
            SPOT_VCPUS,
            "ask for more in Service Quotas (AWS allows thousands)",
        ),
        Limit(
            "commands in the slot of the queue",
            SLOT_COMMANDS_SECOND[cache] / commands,
            "a larger node, or two stages",
        ),
        Limit(
            "Lambda concurrency",
            LAMBDA_CONCURRENCY / functions,
            "ask for more, or submit without `wait` and fetch results later",
        ),
        Limit("connections to Redis", REDIS_CONNECTIONS / connections, "nothing: other limits come first"),
        Limit("requests at API Gateway", API_REQUESTS_SECOND / per_runner, "ask for more in Service Quotas"),
        Limit("addresses in the subnets", ADDRESSES - 10, "a larger VpcCidr"),
    ]
    return sorted(all_limits, key=lambda limit: limit.runners)
