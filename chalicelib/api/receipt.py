"""The receipt of a result: what ran, in which version and image, and one line that runs it again."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.catalog import load_catalog
from chalicelib.models import Result

# As jobs have it: compilers translate their messages, and choose their quotes, by the locale.
_LOCALE = {"LC_ALL": "C.UTF-8"}
# Where the folder with the files is seen in a container.
_FOLDER = "/src"


def receipt(result: Result) -> dict[str, Any] | None:
    """``{"argv", "version", "image", "reproduce"}``; None when no compiler ran."""
    environment = result.environment
    if environment is None or not result.command:
        return None
    return {
        "argv": list(result.command),
        # What an older runner registered has no line of its own.
        "version": environment.version_text or f"{environment.family} {environment.version}",
        "image": environment.image,
        "reproduce": reproduce(result.command, result.command_environment, environment.image),
    }


def reproduce(command: Sequence[str], variables: Mapping[str, str], image: str) -> str:
    """One line for a shell, to be run in a folder that holds the request's files under their names."""
    # Without these a compiler prints what `stdout` and `stderr` show.
    parser_arguments = load_catalog().parser_arguments
    command = [argument for argument in command if argument not in parser_arguments]
    assignments = _assignments({**_LOCALE, **variables})
    if not image:
        return shlex.join(["env", *assignments, *command])
    options = [word for assignment in assignments for word in ("--env", assignment)]
    executable, *arguments = command
    # The image's own entry point may be anything; `$PWD` is the one word that the shell is to replace.
    return " ".join(
        [
            f'docker run --rm --network none --volume "$PWD:{_FOLDER}" --workdir {_FOLDER}',
            shlex.join([*options, "--entrypoint", executable, image, *arguments]),
        ]
    )


def _assignments(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(variables.items())]
