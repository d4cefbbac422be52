"""Every failure of a step becomes one sentence on what happened and one on what to do."""

import pytest
import requests
import urllib3
from botocore.exceptions import ClientError, NoCredentialsError

from infra.context import DeployContext
from infra.errors import DeployError, Interrupted, step, translate


def test_errors_of_aws_become_a_message_and_a_hint() -> None:
    """The message is AWS's own, the error code decides the hint; for an unknown code it is to try again."""
    expired = ClientError(
        {"Error": {"Code": "ExpiredToken", "Message": "It has expired"}}, "GetCallerIdentity"
    )
    error = translate(expired)
    assert "It has expired" in error.message and "aws sso login" in error.hint
    unknown = translate(ClientError({"Error": {"Code": "Odd", "Message": ""}}, "DoIt"))
    assert (unknown.message, "run the same command again" in unknown.hint) == ("DoIt: Odd (Odd)", True)
    assert "no AWS credentials" in translate(NoCredentialsError()).message


def test_ctrl_c_names_the_step_that_it_interrupted() -> None:
    """An interruption is reported with its step, as every failure is."""
    with pytest.raises(Interrupted) as caught, step("store"):
        raise KeyboardInterrupt
    assert (caught.value.step, caught.value.message) == ("store", "interrupted")
    assert "run the same command again" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", ".chalice/config.json"),
        requests.exceptions.ConnectionError("the engine went away"),
        urllib3.exceptions.ProtocolError("the engine went away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_local_errors_become_a_message_with_the_step(error: Exception) -> None:
    """A file that cannot be written or a container engine that dies gives a message, not a traceback."""
    with pytest.raises(DeployError) as caught, step("image"):
        raise error
    assert caught.value.step == "image"
    assert type(error).__name__ in caught.value.message and "run the same command again" in caught.value.hint


def test_an_invalid_endpoint_is_one_message() -> None:
    """A typing error in AWS_ENDPOINT_URL gives a message that names the variable."""
    env = {"AWS_ENDPOINT_URL": "nonsense", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    with pytest.raises(DeployError, match="nonsense") as caught:
        DeployContext(env=env, region="us-east-1").client("sts")
    assert "AWS_ENDPOINT_URL" in caught.value.hint
