"""The service-linked roles that the stacks need, each of which an account has once for all its programs.

ECS makes its own with the first cluster of an account, but too late: the stack with that cluster fails, and
the next attempt succeeds. Nobody has seen that with the other two services; making all of them first costs
nothing. They stay when a stage is removed. For another service, add a line to `SERVICES`.
"""

from infra.context import DeployContext

# Principal of the service → its name for people.
SERVICES = {
    "ecs.amazonaws.com": "ECS",
    "elasticache.amazonaws.com": "ElastiCache",
    "ecs.application-autoscaling.amazonaws.com": "Application Auto Scaling",
}


def missing(context: DeployContext) -> list[str]:
    """The services, of `SERVICES`, that this account has no role for."""
    iam = context.client("iam")
    # A page may be empty although another one follows.
    pages = iam.get_paginator("list_roles").paginate
    return [
        service
        for service in SERVICES
        if not any(page["Roles"] for page in pages(PathPrefix=f"/aws-service-role/{service}/"))
    ]


def create(context: DeployContext, service: str) -> None:
    """Makes the role. All of AWS knows it some seconds later; making the network takes longer."""
    context.client("iam").create_service_linked_role(AWSServiceName=service)
