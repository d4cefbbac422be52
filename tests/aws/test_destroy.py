"""In which order `destroy` deletes, and what it waits for."""

import contextlib
import dataclasses

from infra.destroy import ORDER, destroy
from infra.stacks import Stack
from infra.stage import STACKS, Stage
from tests.aws.conftest import STAGE, Cli
from tests.aws.test_deploy import holdings


def test_a_stack_is_deleted_after_those_that_use_its_outputs() -> None:
    """Every stack is deleted, in reverse order; only `api`, which uses no outputs, may be anywhere."""
    assert sorted(ORDER) == sorted(STACKS)
    dependent = [part for part in ORDER if part != "api"]
    assert dependent == [part for part in reversed(STACKS) if part != "api"]


def test_the_role_of_the_functions_outlives_their_network_interfaces(cli: Cli) -> None:
    """Lambda needs the functions' role to delete its interfaces, so the role stays until they are gone."""
    stage, context = Stage(STAGE), cli.context()
    for part in ("network", "api"):
        change_set = Stack(context, stage, part).prepare({"Stage": stage.name})
        assert change_set is not None
        change_set.execute()
    outputs = Stack(context, stage, "network").outputs()
    interface = cli.client("ec2").create_network_interface(
        SubnetId=outputs["SubnetIds"].split(",")[0], Groups=[outputs["FunctionGroupId"]]
    )["NetworkInterface"]["NetworkInterfaceId"]
    roles_while_waiting: list[list[str]] = []

    def delete_interface(_seconds: float) -> None:
        """What Lambda does while `destroy` waits."""
        if not roles_while_waiting:
            roles = cli.client("iam").list_roles()["Roles"]
            roles_while_waiting.append([role["Description"] for role in roles])
            cli.client("ec2").delete_network_interface(NetworkInterfaceId=interface)

    with contextlib.closing(dataclasses.replace(context, sleep=delete_interface)) as waiting_context:
        destroy(waiting_context, stage, root=cli.project)
    assert roles_while_waiting == [["The functions of will-it-compile"]]
    assert holdings(cli) == {}
