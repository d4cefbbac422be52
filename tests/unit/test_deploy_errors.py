"""Whatever goes wrong in a step becomes one sentence why, and one what to do."""

import pytest
import requests
import urllib3
from botocore.exceptions import ClientError, NoCredentialsError

from infra.context import Outside
from infra.errors import Interrupted, Problem, explain, step


def test_exceptions_of_aws_become_sentences() -> None:
    """The code decides what to do; what AWS said stays, and an unknown code says to try again."""
    expired = ClientError(
        {"Error": {"Code": "ExpiredToken", "Message": "It has expired"}}, "GetCallerIdentity"
    )
    problem = explain(expired)
    assert "It has expired" in problem.why and "aws sso login" in problem.remedy
    odd = explain(ClientError({"Error": {"Code": "Odd", "Message": ""}}, "DoIt"))
    assert (odd.why, "run the same command again" in odd.remedy) == ("DoIt: Odd (Odd)", True)
    assert "no AWS credentials" in explain(NoCredentialsError()).why


def test_ctrl_c_says_which_step_it_ended() -> None:
    """What was interrupted is told by its step, as every failure is."""
    with pytest.raises(Interrupted) as caught, step("store"):
        raise KeyboardInterrupt
    assert (caught.value.step, caught.value.why) == ("store", "interrupted")
    assert "run the same command again" in caught.value.remedy


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", ".chalice/config.json"),
        requests.exceptions.ConnectionError("the engine went away"),
        urllib3.exceptions.ProtocolError("the engine went away"),
    ],
)
def test_what_this_machine_refuses_is_a_problem_of_its_step(error: Exception) -> None:
    """A file that cannot be written and a container engine that dies end in a message, not in a traceback."""
    with pytest.raises(Problem) as caught, step("image"):
        raise error
    assert caught.value.step == "image"
    assert type(error).__name__ in caught.value.why and "run the same command again" in caught.value.remedy


def test_an_endpoint_that_is_no_url_is_one_message() -> None:
    """A typing error in AWS_ENDPOINT_URL is named."""
    environ = {"AWS_ENDPOINT_URL": "nonsense", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    with pytest.raises(Problem, match="nonsense") as caught:
        Outside(environ=environ, region="us-east-1").client("sts")
    assert "AWS_ENDPOINT_URL" in caught.value.remedy
