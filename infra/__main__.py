"""`python -m infra deploy|plan|status|destroy --stage prod`.

Exit codes: 0 done (for `status`: everything is there), 1 a step failed (for `status`: something is not
there), 2 a command line or a settings file that cannot be meant, 130 interrupted. A failure is three lines:
which step, why, and what to do.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.context import Outside
from infra.deploy import deploy, plan
from infra.destroy import destroy
from infra.errors import Interrupted, Problem, WrongUse
from infra.stage import read_stage
from infra.status import status

EXIT_FAILED, EXIT_USE, EXIT_INTERRUPTED = 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infra", description="The service on AWS: see docs/deploy.md.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("deploy", "make it, or bring it up to date"),
        ("plan", "show what deploy would change; changes nothing"),
        ("status", "what there is"),
        ("destroy", "remove everything"),
    ):
        command = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        command.add_argument("--stage", required=True, help="name of the deployment, such as prod")
        command.add_argument("--region", help="AWS region (otherwise that of the AWS configuration)")
        command.add_argument(
            "--settings", type=Path, help="values of the templates' parameters (infra/stages/STAGE.toml)"
        )
        if name == "deploy":
            command.add_argument(
                "--image", help="an image of the local engine, or of the stage's ECR repository"
            )
        if name == "destroy":
            command.add_argument("--keep-snapshot", action="store_true", help="keep a last snapshot of Redis")
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main(arguments: Sequence[str], outside: Callable[[str | None], Outside], root: Path | None = None) -> int:
    """Runs a command; returns the exit code. `root` is the project that is deployed (this one)."""
    options = parser().parse_args(arguments)
    try:
        stage = read_stage(options.stage, options.settings)
        world = outside(options.region)
        elsewhere = {"root": root} if root else {}
        if options.command == "deploy":
            world.say(f"done: {deploy(world, stage, given_image=options.image, **elsewhere)}")
        elif options.command == "plan":
            world.say(f"{plan(world, stage, **elsewhere)} changes; nothing was changed")
        elif options.command == "status":
            return 0 if status(world, stage) else EXIT_FAILED
        else:
            if not options.yes:
                _confirm(stage.name)
            destroy(world, stage, keep_snapshot=options.keep_snapshot, **elsewhere)
    except Problem as problem:
        _complain(problem)
        return _exit_code(problem)
    except KeyboardInterrupt:  # between two steps, or at the question
        _complain(Interrupted())
        return EXIT_INTERRUPTED
    return 0


def _exit_code(problem: Problem) -> int:
    if isinstance(problem, Interrupted):
        return EXIT_INTERRUPTED
    return EXIT_USE if isinstance(problem, WrongUse) else EXIT_FAILED


def _confirm(name: str) -> None:
    try:
        answer = input(f"Remove everything of {name}? Type its name: ")
    except EOFError:  # nobody is there to answer
        answer = ""
    if answer.strip() != name:
        raise WrongUse("not confirmed", "type the stage's name, or add --yes")


def _complain(problem: Problem) -> None:
    where = f"step {problem.step}" if problem.step else "not started"
    print(f"{where}: {problem.why}.\nwhat to do: {problem.remedy}.", file=sys.stderr)  # noqa: T201 -- own output


if __name__ == "__main__":
    # What ends a job of a CI is Ctrl-C too: the folder that chalice works in has the password, and must go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:], lambda region: Outside(environ=os.environ, region=region)))
