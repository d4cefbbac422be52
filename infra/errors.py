"""What can go wrong, as one sentence why and one what to do; AWS's exceptions become that here, once.

Every step of the command runs under `step`: whatever leaves it is a `Problem` that names the step. A new kind
of failure is one more line in `_BY_CODE`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from urllib3.exceptions import HTTPError

AGAIN = "run the same command again: what is done already is not done twice"
_SIGN_IN = "sign in (`aws sso login`, `aws configure`, or AWS_PROFILE / AWS_ACCESS_KEY_ID …)"

# Error codes of AWS, with what to do about them.
_BY_CODE = {
    "ExpiredToken": f"the session has run out: {_SIGN_IN}, then {AGAIN}",
    "ExpiredTokenException": f"the session has run out: {_SIGN_IN}, then {AGAIN}",
    "RequestExpired": "set this machine's clock, then " + AGAIN,
    "InvalidClientTokenId": f"AWS does not know these credentials: {_SIGN_IN}",
    "UnrecognizedClientException": f"AWS does not know these credentials: {_SIGN_IN}",
    "SignatureDoesNotMatch": f"the secret key is wrong: {_SIGN_IN}",
    "AccessDenied": "ask for the right that the message names (docs/deploy.md lists all), then " + AGAIN,
    "AccessDeniedException": "ask for the right that the message names (docs/deploy.md lists all), then "
    + AGAIN,
    "UnauthorizedOperation": "ask for the right that the message names (docs/deploy.md lists all), then "
    + AGAIN,
    "Throttling": "AWS asks for patience and got a dozen tries: wait some minutes, then " + AGAIN,
    "ThrottlingException": "AWS asks for patience and got a dozen tries: wait some minutes, then " + AGAIN,
    "TooManyRequestsException": "AWS asks for patience and got a dozen tries: wait some minutes, then "
    + AGAIN,
    "RequestLimitExceeded": "AWS asks for patience and got a dozen tries: wait some minutes, then " + AGAIN,
    "LimitExceededException": "raise the quota that the message names in Service Quotas, then " + AGAIN,
    "ValidationError": "mend what this says (values are those of infra/stages/<stage>.toml), then " + AGAIN,
    "AlreadyExistsException": "another deployment has this name: choose another --stage, or remove it",
}


class Problem(Exception):
    """A step that did not work: `why`, in AWS's own words, and `remedy`, what a person can do."""

    def __init__(self, why: str, remedy: str = AGAIN) -> None:
        super().__init__(why)
        self.why = why.strip().rstrip(".")
        self.remedy = remedy
        self.step = ""


class WrongUse(Problem):
    """A command line or a settings file that cannot be meant; exit code 2."""


class Interrupted(Problem):
    """Somebody pressed Ctrl-C; exit code 130."""

    def __init__(self) -> None:
        super().__init__("interrupted", f"what AWS has begun goes on; when it is done, {AGAIN}")


def remedy_for(code: str) -> str:
    """What to do about an error code of AWS; empty for one that is not known."""
    return _BY_CODE.get(code, "")


def explain(error: BotoCoreError | ClientError) -> Problem:
    """An exception of boto3 as a `Problem`."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = details.get("Code", ""), details.get("Message", "")
        return Problem(f"{error.operation_name}: {message or code} ({code})", remedy_for(code) or AGAIN)
    if isinstance(
        error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound
    ):
        return Problem(f"there are no AWS credentials: {error}", _SIGN_IN)
    if isinstance(error, TokenRetrievalError | SSOTokenLoadError | UnauthorizedSSOTokenError):
        return Problem(f"the session has run out: {error}", f"{_SIGN_IN}, then {AGAIN}")
    if isinstance(error, NoRegionError):
        return Problem("no region is chosen", "add --region eu-central-1 (or another), or set AWS_REGION")
    if isinstance(error, EndpointConnectionError):
        return Problem(str(error), f"check the network and the name of the region, then {AGAIN}")
    return Problem(str(error))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Whatever AWS says no to in here, or Ctrl-C ends, becomes a `Problem` of this step."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        problem = explain(error)
        problem.step = name
        raise problem from error
    except Problem as problem:
        problem.step = problem.step or name
        raise
    except (OSError, HTTPError) as error:
        # A file that cannot be written, or a container engine that went away.
        failure = Problem(f"{type(error).__name__}: {error}", f"mend what this says, then {AGAIN}")
        failure.step = name
        raise failure from error
    except KeyboardInterrupt as error:
        interrupted = Interrupted()
        interrupted.step = name
        raise interrupted from error
