"""Errors of the deploy command: each has one sentence on what failed and one hint on what to do.

Every step runs inside `step(name)`: whatever fails in there leaves it as a `DeployError` that names the step.
The exceptions of boto3 are translated here and nowhere else. To give another error code of AWS its own hint,
add a line to `_HINTS`.

    DeployError         a step failed: exit code 1
    ├── UsageError      the command line or the settings file is invalid: exit code 2
    └── Interrupted     Ctrl-C or SIGTERM: exit code 130
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

AGAIN = "run the same command again: it continues where it stopped"
FIX_AND_REPEAT = f"fix what this message says, then {AGAIN}"

_SIGN_IN = "sign in (`aws sso login`, `aws configure`, or AWS_PROFILE / AWS_ACCESS_KEY_ID …)"
_SESSION_EXPIRED = f"the session has expired: {_SIGN_IN}, then {AGAIN}"
_UNKNOWN_CREDENTIALS = f"AWS does not know these credentials: {_SIGN_IN}"
_MISSING_RIGHT = f"ask for the right that the message names (docs/deploy.md lists all of them), then {AGAIN}"
_THROTTLED = f"AWS limits the rate of calls, and a dozen attempts failed: wait some minutes, then {AGAIN}"

# Error codes of AWS → what to do about them.
_HINTS = {
    "ExpiredToken": _SESSION_EXPIRED,
    "ExpiredTokenException": _SESSION_EXPIRED,
    "RequestExpired": f"set the clock of this machine, then {AGAIN}",
    "InvalidClientTokenId": _UNKNOWN_CREDENTIALS,
    "UnrecognizedClientException": _UNKNOWN_CREDENTIALS,
    "SignatureDoesNotMatch": f"the secret key is wrong: {_SIGN_IN}",
    "AccessDenied": _MISSING_RIGHT,
    "AccessDeniedException": _MISSING_RIGHT,
    "UnauthorizedOperation": _MISSING_RIGHT,
    "Throttling": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "TooManyRequestsException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "LimitExceededException": f"raise the quota that the message names in Service Quotas, then {AGAIN}",
    "ValidationError": "fix what this message says (the values come from infra/stages/<stage>.toml), then "
    + AGAIN,
    "AlreadyExistsException": "another deployment has this name: choose another --stage, or remove it",
}


class DeployError(Exception):
    """A step failed: `message` says what happened, in AWS's own words, and `hint` what to do about it."""

    def __init__(self, message: str, hint: str = AGAIN) -> None:
        super().__init__(message)
        self.message = message.strip().rstrip(".")
        self.hint = hint
        # The name of the step that failed; empty before the first step.
        self.step = ""


class UsageError(DeployError):
    """An invalid command line or settings file; exit code 2."""


class Interrupted(DeployError):
    """Ctrl-C or SIGTERM; exit code 130."""

    def __init__(self) -> None:
        super().__init__("interrupted", f"AWS completes what it has started; wait for that, then {AGAIN}")


def hint_for(code: str) -> str:
    """What to do about an error code of AWS; empty for an unknown code."""
    return _HINTS.get(code, "")


def translate(error: BotoCoreError | ClientError) -> DeployError:
    """An exception of boto3 as a `DeployError`."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        code, message = details.get("Code", ""), details.get("Message", "")
        return DeployError(f"{error.operation_name}: {message or code} ({code})", hint_for(code) or AGAIN)
    if isinstance(
        error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound
    ):
        return DeployError(f"there are no AWS credentials: {error}", _SIGN_IN)
    if isinstance(error, TokenRetrievalError | SSOTokenLoadError | UnauthorizedSSOTokenError):
        return DeployError(f"the session has expired: {error}", f"{_SIGN_IN}, then {AGAIN}")
    if isinstance(error, NoRegionError):
        return DeployError("no region is chosen", "add --region eu-central-1 (or another), or set AWS_REGION")
    if isinstance(error, EndpointConnectionError):
        return DeployError(str(error), f"check the network and the name of the region, then {AGAIN}")
    return DeployError(str(error))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Turns every failure inside, Ctrl-C included, into a `DeployError` of this step."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        failure = translate(error)
        failure.step = name
        raise failure from error
    except DeployError as error:
        error.step = error.step or name
        raise
    except (OSError, HTTPError) as error:
        # A file that cannot be written, or a container engine that went away.
        failure = DeployError(f"{type(error).__name__}: {error}", FIX_AND_REPEAT)
        failure.step = name
        raise failure from error
    except KeyboardInterrupt as error:
        interrupted = Interrupted()
        interrupted.step = name
        raise interrupted from error
