"""The receipt of a result: what ran, in which version and image, and one shell line that runs it again."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.catalog import load_catalog
from chalicelib.models import Result

# Jobs run with this locale: compilers choose the language of their messages, and their quotes, by it.
_LOCALE = {"LC_ALL": "C.UTF-8"}
# Where a container sees the folder with the files.
_FOLDER = "/src"


def receipt(result: Result) -> dict[str, Any] | None:
    """``{"argv", "version", "image", "reproduce"}``; None when no compiler ran."""
    environment = result.environment
    if environment is None or not result.command:
        return None
    return {
        "argv": list(result.command),
        # A runner of an older release registered no version text.
        "version": environment.version_text or f"{environment.family} {environment.version}",
        "image": environment.image,
        "reproduce": reproduce(result.command, result.command_environment, environment.image),
    }


def reproduce(command: Sequence[str], env: Mapping[str, str], image: str) -> str:
    """One line for a shell, to be run in a folder that holds the request's files under their names."""
    # Without these options for the service's own parser a compiler prints what `stdout` and `stderr` show.
    parser_arguments = load_catalog().parser_arguments
    command = [argument for argument in command if argument not in parser_arguments]
    assignments = [f"{name}={value}" for name, value in sorted({**_LOCALE, **env}.items())]
    if not image:
        return shlex.join(["env", *assignments, *command])
    options = [word for assignment in assignments for word in ("--env", assignment)]
    executable, *arguments = command
    # `--entrypoint` replaces the image's own. `$PWD` is the one word that the shell must expand.
    return " ".join(
        [
            f'docker run --rm --network none --volume "$PWD:{_FOLDER}" --workdir {_FOLDER}',
            shlex.join([*options, "--entrypoint", executable, image, *arguments]),
        ]
    )
