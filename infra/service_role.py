"""The service-linked role of ECS, which an account has once and all its clusters share.

ECS makes it with the first cluster of an account, but too late: the stack with that cluster fails, and the
next attempt succeeds. So `deploy` makes it first. It costs nothing, and stays when a stage is removed.
"""

from infra.context import DeployContext

SERVICE = "ecs.amazonaws.com"


def is_missing(context: DeployContext) -> bool:
    """Whether this account has never used ECS."""
    roles = context.client("iam").list_roles(PathPrefix=f"/aws-service-role/{SERVICE}/")["Roles"]
    return not roles


def create(context: DeployContext) -> None:
    """Makes the role. All of AWS knows it some seconds later; Redis, which is made next, takes longer."""
    context.client("iam").create_service_linked_role(AWSServiceName=SERVICE)
