"""What a removal must wait for, and in which order things go."""

import dataclasses

from infra.destroy import ORDER, destroy
from infra.stacks import Stack
from infra.stage import STACKS, Stage
from tests.aws.conftest import STAGE, Desk
from tests.aws.test_deploy import holdings


def test_every_stack_is_removed_after_those_that_use_it() -> None:
    """All stacks go, and none before one that takes its outputs; only the API's takes none of the others'."""
    assert sorted(ORDER) == sorted(STACKS)
    users = [part for part in ORDER if part != "api"]
    assert users == [part for part in reversed(STACKS) if part != "api"]


def test_the_role_of_the_functions_outlives_their_network_interfaces(desk: Desk) -> None:
    """Lambda deletes its interfaces with the functions' role, so the role is there until they are gone."""
    stage, world = Stage(STAGE), desk.outside(None)
    for part in ("network", "api"):
        prepared = Stack(world, stage, part).prepare({"Stage": stage.name})
        assert prepared is not None
        prepared.execute()
    made = Stack(world, stage, "network").outputs()
    interface = desk.client("ec2").create_network_interface(
        SubnetId=made["SubnetIds"].split(",")[0], Groups=[made["FunctionGroupId"]]
    )["NetworkInterface"]["NetworkInterfaceId"]
    waited: list[list[str]] = []

    def lambda_gives_it_back(_seconds: float) -> None:
        if not waited:
            waited.append([role["Description"] for role in desk.client("iam").list_roles()["Roles"]])
            desk.client("ec2").delete_network_interface(NetworkInterfaceId=interface)

    destroy(dataclasses.replace(world, sleep=lambda_gives_it_back), stage, root=desk.project)
    assert waited == [["The functions of will-it-compile"]]
    assert holdings(desk) == {}
