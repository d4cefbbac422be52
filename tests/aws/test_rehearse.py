"""`python -m infra rehearse`: it deploys, tests while things fail, and always removes everything."""

import shutil
import threading
from collections.abc import Callable
from typing import Any

import pytest

from infra import rehearse
from infra.context import Reply
from infra.image import TESTS_CONTEXT
from infra.stage import ROOT, Stage
from tests.aws.cloud import Fault
from tests.aws.conftest import STAGE, Cli
from tests.aws.test_deploy import READ_ONLY, holdings

pytestmark = pytest.mark.timeout(900)  # seconds, only for a hang; chalice packs, and the machine may be busy


class Service:
    """The API of a stage that works: every job ends at once, unless `lose` says that it is forgotten."""

    def __init__(self, lose: Callable[[int], bool] = lambda _: False) -> None:
        self._verdicts: dict[str, str] = {}
        self._lose = lose
        self._lock = threading.Lock()
        self.submitted = 0

    def __call__(self, method: str, url: str, body: Any = None) -> Reply:
        """As `infra.context.call`."""
        if method == "POST":
            verdict = "rejected" if "return x" in body["source_code"] else "compiles"
            with self._lock:
                self.submitted += 1
                number = self.submitted
                if number % 50 == 1:  # API Gateway limits the rate; the client must ask again
                    return Reply(429, {"message": "Too Many Requests"})
                if not self._lose(number):
                    self._verdicts[str(number)] = verdict
            answer = {"job_id": str(number), "status": "queued"}
            if "wait=" in url:
                return Reply(200, answer | {"verdict": self._verdicts[str(number)]})
            return Reply(202, answer)
        job = url.partition("?")[0].rpartition("/")[2]
        if job not in self._verdicts:
            return Reply(404, {"error": "not_found"})
        return Reply(200, {"job_id": job, "verdict": self._verdicts[job]})


@pytest.fixture
def cli_with_tests(cli: Cli) -> Cli:
    """The command on a project that has what the image with the tests is made from."""
    for name in TESTS_CONTEXT:
        source, target = ROOT / name, cli.project / name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    cli.http = Service()
    return cli


def test_a_dry_run_changes_nothing(cli: Cli) -> None:
    """`--dry-run` prints every step, the last of which removes the stage, and only reads."""
    out = cli.succeed("rehearse", "--dry-run")
    for number, line in enumerate(rehearse.steps(Stage(STAGE)), start=1):
        assert f"  {number}. {line}\n" in out
    assert [call for call in cli.cloud.calls if not READ_ONLY.match(call[1])] == []


def test_a_rehearsal_runs_to_the_end_and_leaves_nothing(cli_with_tests: Cli) -> None:
    """All checks pass, each with a line; the account and the project are as they were before."""
    cli = cli_with_tests
    config = (cli.project / ".chalice" / "config.json").read_text()
    out = cli.succeed("rehearse")
    for name in ("contract", "compile", "load", "interruption", "failover", "bill"):
        assert f"ok  {name:<12}" in out, out
    assert "500 jobs ended with the right verdict" in out
    assert "0 of 60 accepted jobs were lost (Cache = nodes)" in out
    assert holdings(cli) == {}
    assert (cli.project / ".chalice" / "config.json").read_text() == config
    account = cli.cloud.account
    assert account.failovers == [f"wic-{STAGE}"] and len(account.stopped_tasks) == 1
    # The rights to empty the store were given for the contract tests, and taken back.
    assert [rehearse.MORE_RIGHTS in rights for rights in account.rights] == [True, False]
    calls = [operation for _, operation in cli.cloud.calls]
    assert calls.index("DisableRule") < calls.index("RunTask") < calls.index("EnableRule")
    assert [tag.partition("-")[0] for engine in cli.engines for tag in engine.pushed] == ["src", "tests"]


def test_a_failed_check_does_not_end_the_rehearsal(cli_with_tests: Cli) -> None:
    """The contract tests fail and jobs are lost: both are reported, the others run, and nothing is left."""
    cli = cli_with_tests
    cli.cloud.account.exit_code = 1
    cli.http = Service(lose=lambda number: number == 100)
    cli.cloud.faults = [Fault("ce", "GetCostAndUsage", "AccessDeniedException", "no")]
    code, out, err = cli.run("rehearse")
    assert code == 1 and "step rehearse: these checks failed: contract, load." in err, out + err
    assert "the contract tests ended with 1" in out
    assert "of 500 jobs that were accepted, 1 did not end and 0 got a wrong verdict" in out
    assert "ok  interruption" in out and "skipped: Cost Explorer does not answer" in out
    assert holdings(cli) == {}


def test_a_stage_that_exists_is_never_rehearsed(cli: Cli) -> None:
    """A rehearsal removes its stage, so it refuses the name of one that exists, and touches nothing."""
    cli.client("cloudformation").create_stack(
        StackName=f"will-it-compile-{STAGE}-store", TemplateBody='{"Resources": {}}'
    )
    code, _, err = cli.run("rehearse")
    assert code == 1 and "exists, and a rehearsal removes its stage" in err
    assert len(cli.client("cloudformation").describe_stacks()["Stacks"]) == 1


@pytest.mark.parametrize(
    ("fault", "step"),
    [
        (Fault("lambda", "POST /2015-03-31/functions$", "AccessDeniedException", "no", 403), "function"),
        (Fault("cloudformation", "ExecuteChangeSet", "Throttling", "Rate exceeded"), "network"),
    ],
    ids=["function", "network"],
)
def test_a_deployment_that_fails_is_removed(cli: Cli, fault: Fault, step: str) -> None:
    """When deploying fails, the message is that of its step, and what was made is removed."""
    cli.cloud.faults = [fault]
    code, out, err = cli.run("rehearse")
    assert code == 1 and err.startswith(f"step {step}: "), err
    assert f"nothing is left of {STAGE}" in out
    assert holdings(cli) == {}


def test_a_stage_that_cannot_be_removed_is_named(cli: Cli) -> None:
    """When removing fails, too, the message says that it costs money and how to remove it."""
    cli.cloud.faults = [
        Fault("lambda", "POST /2015-03-31/functions$", "AccessDeniedException", "no", 403),
        Fault("cloudformation", "DeleteStack", "AccessDenied", "not authorized to delete"),
    ]
    code, _, err = cli.run("rehearse")
    assert code == 1 and "costs money" in err and f"python -m infra destroy --stage {STAGE}" in err


def test_ctrl_c_ends_the_clients_and_removes_the_stage(cli_with_tests: Cli) -> None:
    """Ctrl-C during the load ends all clients at once; the stage is removed, and the exit code is 130."""
    cli, service = cli_with_tests, Service()
    first = threading.Lock()

    def http(method: str, url: str, body: Any = None) -> Reply:
        """Takes jobs, and ends none of them; the first client that asks for one is interrupted."""
        if method == "POST":
            return service(method, url, body)
        if first.acquire(blocking=False):
            raise KeyboardInterrupt
        return Reply(200, {"job_id": "1", "status": "processing"})

    cli.http = http
    code, out, err = cli.run("rehearse")
    assert (code, err.splitlines()[0]) == (130, "step load: interrupted."), out + err
    assert f"nothing is left of {STAGE}" in out
    assert holdings(cli) == {}
