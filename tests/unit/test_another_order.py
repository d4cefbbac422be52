"""A module that was not there yet is never the final word: the files are tried in another order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from chalicelib.catalog import load_catalog
from chalicelib.models import Result, Verdict
from runner.executor import JobExecutor
from runner.sandbox.base import Command, SandboxResult
from runner.sandbox.limits import default_limits
from runner.toolchains.model import Toolchains
from tests.support.factories import make_environment, make_request, make_run
from tests.support.fake_sandbox import FakeSandbox

Outcome = Callable[[Command, Path], SandboxResult]


def _missing(file: str, module: str) -> str:
    place = f"{file}:2:6:\n\n    2 |   use X\n      |      1\n"
    message = (
        f"Fatal Error: Cannot open module file ‘{module}’ for reading at (1): No such file or directory\n"
    )
    return f"{place}{message}compilation terminated.\n"


def _needs(pairs: dict[str, str], seconds: float = 0.1) -> Outcome:
    """A compiler that rejects each file before the one that it needs."""

    def outcome(command: Command, _folder: Path) -> SandboxResult:
        order = list(command.argv)
        text = "".join(
            _missing(file, f"{other.removesuffix('.F90')}.mod")
            for file, other in pairs.items()
            if order.index(other) > order.index(file)
        )
        return make_run(exit_code=1 if text else 0, stderr=text.encode(), duration_seconds=seconds)

    return outcome


def _rejected(text: str, _command: Command, _folder: Path) -> SandboxResult:
    return make_run(exit_code=1, stderr=text.encode())


def _compile(outcome: Outcome, files: dict[str, str]) -> tuple[Result, list[list[str]]]:
    language = load_catalog().language("fortran")
    entry = language.compiler("gfortran-12") if language else None
    assert entry is not None
    sandbox = FakeSandbox(outcome)
    environment = make_environment(
        id="gfortran-12", language="fortran", family="gfortran", standards=("gnu",), default_standard="gnu"
    )
    toolchains = Toolchains((environment,), entries={("fortran", "gfortran-12"): entry})
    request = make_request(
        files=files, main="main.F90", language="fortran", compiler="gfortran-12", standard="gnu"
    )
    executor = JobExecutor(sandbox, load_catalog(), toolchains, default_limits())
    result = executor.compile("job-1", request)
    return result, [[word for word in each.argv if word.endswith(".F90")] for each in sandbox.commands]


# The names of these modules are known to the compiler only.
_HIDDEN = {f"{name}.F90": f"MODULE_CALLED({name})\n" for name in ("a", "b", "c", "main")}


def test_a_missing_module_of_another_file_leads_to_another_order() -> None:
    """Each attempt learns what was missing, until the order is right; the durations are added up."""
    result, orders = _compile(_needs({"a.F90": "b.F90", "b.F90": "c.F90"}), _HIDDEN)
    assert result.verdict is Verdict.COMPILES
    assert orders[-1].index("c.F90") < orders[-1].index("b.F90") < orders[-1].index("a.F90")
    assert result.duration == 100_000_000 * len(orders)


def test_modules_that_need_each_other_end_with_the_compilers_own_answer() -> None:
    """No order is tried twice, and the last answer is the result."""
    result, orders = _compile(_needs({"a.F90": "b.F90", "b.F90": "a.F90"}), _HIDDEN)
    assert result.verdict is Verdict.REJECTED and "Cannot open module file" in result.stderr
    assert len(orders) == len({tuple(order) for order in orders}) <= 3


def test_a_circle_that_is_written_down_is_named() -> None:
    """Then nothing else is tried, and `error` says which files use each other."""
    files = {"main.F90": "end\n", "a.F90": "module a\nuse b\n", "b.F90": "module b\nuse a\n"}
    result, orders = _compile(_needs({"a.F90": "b.F90"}), files)
    assert (result.verdict, len(orders)) == (Verdict.REJECTED, 1)
    assert result.error == "The modules of a.F90, b.F90 use each other, so these files compile in no order."


def test_a_module_that_no_file_defines_is_a_rejection_at_once() -> None:
    """There is no other order to try, nor for a module of a file that was rejected itself."""
    files = {"main.F90": "use nowhere\n", "a.F90": "module a\n", "b.F90": "module b\n"}
    for module in ("nowhere.mod", "a.mod"):
        result, orders = _compile(partial(_rejected, _missing("main.F90", module)), files)
        assert (result.verdict, len(orders), result.error) == (Verdict.REJECTED, 1, "")


def test_attempts_together_stay_within_the_time_of_one() -> None:
    """A compiler that is slow to reject is not run again and again."""
    limit = default_limits().cpu_seconds
    result, orders = _compile(_needs({"a.F90": "b.F90", "b.F90": "c.F90"}, seconds=limit), _HIDDEN)
    assert (result.verdict, len(orders)) == (Verdict.REJECTED, 1)
