"""`python -m infra doctor|plan|deploy|status|destroy|rehearse --stage prod`.

Exit codes: 0 done, 1 a step failed, 2 an invalid command line or settings file, 130 interrupted. 1 is also
for a `status` that misses something, a `doctor` that finds what will not work, and a `rehearse` of which a
check failed. A failure is two lines: which step failed and why, and what to do.

Ctrl-C (SIGINT) and SIGTERM interrupt the command. A shell starts a background job with SIGINT ignored, so
that Ctrl-C ends only what runs in the foreground. This command keeps to that; SIGTERM interrupts it too.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from infra import doctor
from infra.context import DeployContext
from infra.deploy import deploy, plan
from infra.destroy import destroy
from infra.errors import DeployError, Interrupted, UsageError, step
from infra.rehearse import rehearse
from infra.stage import ROOT, read_stage
from infra.status import status

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m infra", description="The service on AWS: see docs/deploy.md.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in (
        ("doctor", "ask the account what will not work; changes nothing"),
        ("plan", "show what deploy would change, and what doctor says; changes nothing"),
        ("deploy", "make the stage, or bring it up to date"),
        ("status", "show what there is"),
        ("destroy", "remove everything"),
        ("rehearse", "deploy a stage, test it while parts of it fail, and remove everything"),
    ):
        command = commands.add_parser(name, help=description, description=description, allow_abbrev=False)
        command.add_argument("--stage", required=True, help="name of the deployment, such as prod")
        command.add_argument("--region", help="AWS region (default: that of the AWS configuration)")
        command.add_argument(
            "--settings",
            type=Path,
            help="file with parameters of the templates (default: infra/stages/STAGE.toml)",
        )
        if name in ("deploy", "rehearse"):
            command.add_argument(
                "--image", help="an image of the local engine, or one in the stage's ECR repository"
            )
        if name == "deploy":
            command.add_argument(
                "--delete-jobs", action="store_true", help="go on where the change deletes the store"
            )
        if name == "rehearse":
            command.add_argument("--dry-run", action="store_true", help="only print what would be done")
        if name == "destroy":
            command.add_argument("--keep-snapshot", action="store_true", help="keep a last snapshot of Redis")
            command.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def main(
    arguments: Sequence[str], make_context: Callable[[str | None], DeployContext], root: Path = ROOT
) -> int:
    """Runs a command on the project in `root`; `make_context` gets the option `--region`. The exit code."""
    options = parser().parse_args(arguments)
    try:
        stage = read_stage(options.stage, options.settings)
        context = make_context(options.region)
        if options.command == "deploy":
            url = deploy(
                context, stage, chosen_image=options.image, delete_jobs=options.delete_jobs, root=root
            )
            context.say(f"done: {url}")
        elif options.command == "doctor":
            with step("doctor"):
                return 0 if doctor.report(context, doctor.examine(context, stage, root=root)) else EXIT_FAILED
        elif options.command == "rehearse":
            rehearse(context, stage, chosen_image=options.image, dry_run=options.dry_run, root=root)
        elif options.command == "plan":
            context.say(f"{plan(context, stage, root=root)} changes; nothing was changed")
        elif options.command == "status":
            return 0 if status(context, stage) else EXIT_FAILED
        else:
            if not options.yes:
                _confirm(stage.name)
            destroy(context, stage, keep_snapshot=options.keep_snapshot, root=root)
    except DeployError as error:
        _print_error(error)
        return _exit_code(error)
    except KeyboardInterrupt:  # between two steps, or at the question
        _print_error(Interrupted())
        return EXIT_INTERRUPTED
    return 0


def _exit_code(error: DeployError) -> int:
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


def _confirm(name: str) -> None:
    try:
        answer = input(f"Remove everything of the stage {name}? Type its name: ")
    except EOFError:  # nobody is there to answer
        answer = ""
    if answer.strip() != name:
        raise UsageError("not confirmed", "type the name of the stage, or add --yes")


def _print_error(error: DeployError) -> None:
    where = f"step {error.step}" if error.step else "not started"
    print(f"{where}: {error.message}.\nwhat to do: {error.hint}.", file=sys.stderr)  # noqa: T201 -- own output


if __name__ == "__main__":
    # SIGTERM, by which a CI cancels a job, is handled as Ctrl-C is: the folder that chalice works in holds
    # the password, and must be deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:], lambda region: DeployContext(env=os.environ, region=region)))
