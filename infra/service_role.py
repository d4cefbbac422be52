"""What a deployment needs of the account itself: the role that ECS works with, which all clusters share.

ECS makes it with the first cluster of an account, but not in time: the stack with that cluster fails, and the
next run succeeds. It costs nothing, and stays when a stage is removed.
"""

from infra.context import Outside

SERVICE = "ecs.amazonaws.com"


def lacks_role(outside: Outside) -> bool:
    """Whether ECS has never worked in this account."""
    found = outside.client("iam").list_roles(PathPrefix=f"/aws-service-role/{SERVICE}/")
    return not found["Roles"]


def make_role(outside: Outside) -> None:
    """Makes it. Until it is known everywhere some seconds pass; Redis, which is made first, takes longer."""
    outside.client("iam").create_service_linked_role(AWSServiceName=SERVICE)
