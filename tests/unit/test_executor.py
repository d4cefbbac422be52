"""From the end of a run to a result, with a sandbox whose runs end as the test wants."""

import threading
from typing import Any

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.models import Reason, Result, Status, Verdict
from runner.executor import JobExecutor
from runner.sandbox.base import LimitHit, SandboxError
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains
from tests.support.factories import make_environment, make_request, make_run
from tests.support.fake_sandbox import FakeSandbox


def _sandbox(**changes: Any) -> FakeSandbox:
    return FakeSandbox(make_run(**changes))


def _compile(sandbox: FakeSandbox, *, cancel: threading.Event | None = None, **changes: Any) -> Result:
    language = load_catalog().language("cpp")
    entry = language.compiler("gcc-12") if language else None
    assert entry is not None
    toolchains = Toolchains((make_environment(),), entries={("cpp", "gcc-12"): entry})
    compiler = JobExecutor(sandbox, load_catalog(), toolchains, default_limits())
    result = compiler.compile("job-1", make_request(**changes), attempts=2, cancel=cancel)
    assert set(sandbox.limits) <= {default_limits()}
    assert not any(command.env for command in sandbox.commands)
    return result


def test_a_result_describes_its_run() -> None:
    """Job, attempt, command, environment, nanoseconds, exit status and output are those of the run."""
    sandbox = _sandbox(stdout=b"out\n", stderr=b"main.cpp:1:5: warning: odd [-Wodd]\n")
    result = _compile(sandbox)
    assert (result.job_id, result.attempts) == ("job-1", 2)
    assert (result.verdict, result.reason, result.success, result.compiled) == (
        Verdict.COMPILES,
        None,
        True,
        True,
    )
    assert result.command == sandbox.commands[0].argv and result.command[0] == "g++-12"
    assert result.environment == make_environment()
    assert (result.duration, result.exit_code) == (250_000_000, 0)
    assert (result.stdout, result.stderr) == ("out\n", "main.cpp:1:5: warning: odd [-Wodd]\n")
    assert [diagnostic.code for diagnostic in result.diagnostics] == ["-Wodd"]
    assert (result.error, result.truncated) == ("", False)


def test_the_files_of_the_request_are_what_the_compiler_sees() -> None:
    """Every file is in the workspace under its own name."""
    files = {"main.cpp": "int main() {}\r\n", "lib/a.hpp": "// é\n"}
    sandbox = _sandbox()
    _compile(sandbox, files=files)
    # Text mode reads CR LF as one newline, so both sides are compared without CR.
    assert {name: text.replace("\r\n", "\n") for name, text in sandbox.files.items()} == {
        name: text.replace("\r\n", "\n") for name, text in files.items()
    }


@pytest.mark.parametrize("end", [{}, {"exit_code": 1}, {"exit_code": None, "limit_hit": LimitHit.TIMEOUT}])
def test_the_translation_units_are_named_however_the_run_ended(end: dict[str, Any]) -> None:
    """In the order of the command and as the request names them; what is only read is not among them."""
    files = dict.fromkeys(["-b.cc", "a.hpp", "main.cpp", "data.txt", "c/a b.c", "add.s"], "")
    sandbox = _sandbox(**end)
    result = _compile(sandbox, files=files)
    assert result.compiled_files == ("main.cpp", "-b.cc", "c/a b.c", "add.s")
    assert sandbox.commands[0].argv[-6:] == (
        "main.cpp", "./-b.cc", "c/a b.c", "-x", "assembler", "add.s",
    )  # fmt: skip


def test_nothing_was_compiled_where_no_compiler_ran() -> None:
    """A job that ends before its compiler starts has no translation units."""
    assert _compile(FakeSandbox(SandboxError("no"))).compiled_files == ()


def test_a_failing_exit_status_is_a_rejection() -> None:
    """The service did its work, and the source does not compile."""
    result = _compile(_sandbox(exit_code=1, stderr=b"main.cpp:1:1: error: no\n"))
    assert (result.verdict, result.success, result.compiled) == (Verdict.REJECTED, True, False)
    assert (result.status, result.error) == (Status.FAILED, "")


@pytest.mark.parametrize(
    ("hit", "reason", "words"),
    [
        (LimitHit.TIMEOUT, Reason.TIMEOUT, ["30 s", "120 s"]),
        (LimitHit.MEMORY, Reason.MEMORY, ["1024 MiB"]),
        (LimitHit.OUTPUT, Reason.OUTPUT, ["64 MiB"]),
        (LimitHit.DISK, Reason.DISK, ["128 MiB"]),
        (LimitHit.PROCESSES, Reason.PROCESSES, ["128 processes"]),
    ],
)
def test_a_limit_is_no_verdict_and_the_sentence_says_which(
    hit: LimitHit, reason: Reason, words: list[str]
) -> None:
    """Each limit is inconclusive with its reason, and the error names its value and unit."""
    result = _compile(_sandbox(exit_code=None, signal=9, limit_hit=hit))
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, reason)
    assert (result.success, result.compiled, result.exit_code) == (False, False, None)
    assert all(word in result.error for word in words), result.error


def test_a_crash_of_the_compiler_is_no_verdict() -> None:
    """A signal without a limit means that the compiler itself failed."""
    result = _compile(_sandbox(exit_code=None, signal=11))
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.COMPILER_CRASH)
    assert "signal 11" in result.error


def test_a_cancelled_run_is_cancelled() -> None:
    """The event is passed to the sandbox, and a run that it ended is reported as cancelled."""
    cancel = threading.Event()
    sandbox = _sandbox(exit_code=None, signal=9, cancelled=True)
    result = _compile(sandbox, cancel=cancel)
    assert sandbox.cancel is cancel
    assert (result.verdict, result.reason, result.status) == (
        Verdict.INCONCLUSIVE,
        Reason.CANCELLED,
        Status.CANCELLED,
    )


@pytest.mark.parametrize("failure", [SandboxError("bwrap: no"), OSError(28, "No space left"), KeyError("x")])
def test_a_failure_on_our_side_is_a_result_without_a_verdict(failure: Exception) -> None:
    """Nothing is raised, nothing is rejected, and no traceback reaches the client."""
    result = _compile(FakeSandbox(failure))
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
    assert (result.job_id, result.attempts) == ("job-1", 2)
    assert result.error.endswith((".", "no"))
    assert "Traceback" not in result.error and "KeyError" not in result.error


@pytest.mark.parametrize(
    "changes",
    [
        {"compiler": "clang-16"},
        {"language": "c"},
        {"architecture": "arm64"},
        {"os": "windows"},
        {"options": ("-fplugin=/x",)},
        {"files": {"main.cpp": "", "../x": ""}},
        {"main": "other.cpp"},
        {"standard": "c17"},
    ],
)
def test_a_request_that_this_runner_cannot_compile_never_reaches_the_sandbox(changes: dict[str, Any]) -> None:
    """The reason is infrastructure: the API should not have stored such a request."""
    sandbox = _sandbox()
    result = _compile(sandbox, **changes)
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
    assert sandbox.commands == []
    assert result.error


def test_truncated_output_is_marked() -> None:
    """Output that the sandbox cut, or diagnostics cut at their limit, set `truncated`."""
    assert _compile(_sandbox(exit_code=1, stderr_truncated=True)).truncated
    assert _compile(_sandbox(exit_code=1, stdout_truncated=True)).truncated
    assert _compile(_sandbox(exit_code=1, stderr=b"main.cpp:1:1: error: e\n" * 2_000)).truncated
    assert not _compile(_sandbox(exit_code=1, stderr=b"main.cpp:1:1: error: e\n" * 20)).truncated
