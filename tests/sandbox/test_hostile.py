"""The hostile corpus over every sandbox, with real compilers: the right verdict, and nothing gained.

The cases are tables in `tests/sandbox/hostile`. For each of them: verdict and reason are those of the table;
the answer holds no secret of the runner, and no text that acts on a terminal or a reader; nothing of the job
is left on the host.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api.compile_request import parse, resolve
from chalicelib.catalog import Catalog, build_command, check_file_names, load_catalog
from chalicelib.errors import RequestError
from chalicelib.models import CompileRequest, Reason, Result, Severity, Verdict
from runner.executor import JobExecutor
from runner.sandbox.base import Command, Sandbox, SandboxError, SandboxResult
from runner.sanitize import clean_text
from runner.toolchains.model import Toolchains
from runner.toolchains.probe import probe_toolchains
from runner.workspace import Workspace
from tests.sandbox.hostile.corpus import COMPILERS, FOLDER, LIMITS, Case, load_corpus
from tests.sandbox.hostile.leftovers import Leftovers
from tests.sandbox.hostile.options import Option, load_options
from tests.sandbox.hostile.programs import VERSIONS, program
from tests.sandbox.hostile.secrets import Secrets
from tests.sandbox.support import judge
from tests.support.fake_sandbox import FakeSandbox
from tests.support.skipping import missing
from tests.support.tiers import in_tier

# What acts on a terminal or on a reader. Repeated here, as `sanitize.py` must not be tested by its own list.
_ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_NAME_LISTS = tomllib.loads((FOLDER / "names.toml").read_text(encoding="utf-8"))
_NAMES = [*_NAME_LISTS["invalid"], *_NAME_LISTS["invalid_in_c"]]
_CORPUS = load_corpus()
_OPTIONS = load_options()


@pytest.fixture(scope="module")
def toolchains(sandbox: Sandbox) -> Toolchains:
    """The compilers that the corpus names, probed in the sandbox under test."""
    ids = {program(sandbox, family) for family in COMPILERS} | {"clang-19"}
    full = load_catalog()
    languages = [
        language.model_copy(
            update={"compilers": tuple(each for each in language.compilers if each.id in ids)}
        )
        for language in full.languages
        if language.id in ("c", "cpp")
    ]
    catalog = Catalog(languages, list(full.families.values()))
    # The compilers of an image are not on this host's PATH: the probe itself finds out.
    toolchains = probe_toolchains(catalog, sandbox, LIMITS, find_executable=str)
    for name in ids:
        for language in languages:
            if toolchains.environment(language.id, name) is None:
                missing(f"{name} for {language.name} is not here: {toolchains.unavailable}")
    return toolchains


Pick = Callable[[str], str]


@pytest.fixture
def pick(sandbox: Sandbox) -> Pick:
    """Finds the compiler that a table means: any of a family, or one by its id."""
    return lambda compiler: program(sandbox, compiler) if compiler in COMPILERS else compiler


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library whose loading is an attack."""
    names = ("gcc", "cc", *(f"gcc-{version}" for version in VERSIONS["gcc"]))
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        missing("no C compiler for the library")
    library = tmp_path_factory.mktemp("evil") / "evil.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(FOLDER / "evil.c")]
    subprocess.run(command, check=True, timeout=30)
    return library


def _in_pairs(work: Any, items: Sequence[str]) -> list[Any]:
    """Two at once: as many as the smallest machine that runs these tests has cores."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))


def _command(request: CompileRequest) -> tuple[str, ...]:
    language = load_catalog().language(request.language)
    entry = language.compiler(request.compiler) if language else None
    assert entry is not None
    return build_command(load_catalog(), request, entry)


def _around_the_request(sandbox: Sandbox, case: Case, request: CompileRequest, family: str) -> Result:
    """Compile bytes that a request cannot carry, and judge as the runner does."""
    with Workspace.create(dict.fromkeys(request.files, "")) as workspace:
        for name, text in request.files.items():
            (workspace.path / name).write_bytes(text.encode(case.encoding))
        run = sandbox.run(Command(_command(request)), workspace, case.limits_of())
    verdict, reason = judge(family, run)
    return Result(
        job_id=case.id,
        verdict=verdict,
        reason=reason,
        success=verdict is not Verdict.INCONCLUSIVE,
        compiled=verdict is Verdict.COMPILES,
        stdout=clean_text(run.stdout, truncated=run.stdout_truncated),
        stderr=clean_text(run.stderr, truncated=run.stderr_truncated),
        exit_code=run.exit_code,
    )


def _texts(value: object) -> Iterator[str]:
    """Every string inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


@pytest.mark.parametrize("case", _CORPUS, ids=lambda case: case.id)
def test_a_hostile_job_gets_its_verdict_and_nothing_else(
    case: Case, sandbox: Sandbox, toolchains: Toolchains, hidden: Secrets, pick: Pick
) -> None:
    """Verdict and reason are the table's; no secret, nothing that acts, and no trace of the job is left."""
    check_case(
        case,
        sandbox,
        toolchains,
        hidden,
        [pick(compiler) for compiler in in_tier(fast=case.compilers[:1], full=case.compilers)],
    )


def check_case(
    case: Case, sandbox: Sandbox, toolchains: Toolchains, hidden: Secrets, compilers: Sequence[str]
) -> None:
    """Run one case with each of these compilers, and check everything that the file's docstring says."""

    def compile_with(compiler: str) -> Result:
        environment = toolchains.environment(case.language, compiler)
        assert environment is not None
        request = case.request(compiler, environment.default_standard, hidden.paths)
        if case.encoding != "utf-8":
            return _around_the_request(sandbox, case, request, environment.family)
        return JobExecutor(sandbox, load_catalog(), toolchains, case.limits_of()).compile(case.id, request)

    before = Leftovers.look()
    results = _in_pairs(compile_with, compilers)
    left = Leftovers.look().since(before)
    for compiler, result in zip(compilers, results, strict=True):
        expected = case.outcome(compiler, sandbox.name)
        detail = f"{compiler}: {result.verdict} {result.reason} {result.error}\n{result.stderr[:2000]}"
        assert result.verdict is expected.verdict, detail
        assert result.reason is None or result.reason in expected.reasons, detail
        assert expected.says in result.stderr, detail
        answer = json.dumps(result.model_dump(mode="json"), ensure_ascii=False)
        assert hidden.found_in(answer) == [], detail
        assert [word for word in case.never if word in result.stdout + result.stderr] == [], detail
        for text in _texts(result.model_dump(mode="json", exclude={"command"})):
            assert _ACTS.search(text) is None, (compiler, text[:500])
            text.encode()
        assert (result.compiled, result.success) == (
            result.verdict is Verdict.COMPILES,
            result.verdict is not Verdict.INCONCLUSIVE,
        )
    assert left == []


def _client_request(
    compiler: str, options: Sequence[str] = (), files: Mapping[str, str] | None = None, main: str = "main.c"
) -> bytes:
    body = {
        "language": "c",
        "compiler": compiler,
        "options": options,
        "files": dict(files or {"main.c": "int x;\n"}),
        "main": main,
    }
    return json.dumps(body).encode()


@pytest.mark.parametrize("entry", _OPTIONS, ids=lambda entry: entry.id)
def test_a_dangerous_option_is_forbidden_by_the_api_and_by_the_runner(
    entry: Option, toolchains: Toolchains, hidden: Secrets, pick: Pick
) -> None:
    """The API answers 400, and the runner starts nothing if the option is in a job all the same."""
    catalog = load_catalog()
    options = [_put_in(option, hidden) for option in entry.options]
    for compiler in map(pick, entry.compilers):
        for option in options:
            if option not in entry.allowed:
                with pytest.raises(RequestError) as error:
                    resolve(parse(_client_request(compiler, [option])), catalog, toolchains.environments)
                assert len(error.value.message) > 20
        environment = toolchains.environment("c", compiler)
        assert environment is not None
        case = Case(id=entry.id, claim="", verdict=Verdict.COMPILES, files={"main.c": "int x;\n"})
        request = case.request(compiler, environment.default_standard, {})
        request = request.model_copy(update={"options": tuple(options), "stage": entry.stage})
        _check_never_run(request, toolchains)


def _check_never_run(request: CompileRequest, toolchains: Toolchains) -> None:
    """The runner answers that this request cannot be compiled, without a run of the sandbox."""
    sandbox = FakeSandbox()
    result = JobExecutor(sandbox, load_catalog(), toolchains, LIMITS).compile("never", request)
    assert sandbox.commands == []
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, Reason.INFRASTRUCTURE)
    assert "The stored job cannot be compiled" in result.error


def _put_in(text: str, hidden: Secrets) -> str:
    for word, path in hidden.paths.items():
        text = text.replace(f"{{{word}}}", path)
    return text


@pytest.mark.parametrize("entry", _OPTIONS, ids=lambda entry: entry.id)
def test_a_dangerous_option_that_is_forced_upon_a_compiler_gains_nothing(
    entry: Option, sandbox: Sandbox, toolchains: Toolchains, hidden: Secrets, pick: Pick, evil: Path
) -> None:
    """Without the allow-list the sandbox alone holds: programs run, gain nothing and leave nothing."""
    sources = {"main.c": "int main(void) { return 0; }\n", "secrets": "\n".join(hidden.paths.values())}
    sources |= {name: _put_in(text, hidden) for name, text in entry.files.items()}

    def force(compiler: str) -> SandboxResult:
        environment = toolchains.environment("c", compiler)
        assert environment is not None
        case = Case(id=entry.id, claim="", verdict=Verdict.COMPILES, stage=entry.stage, files=sources)
        first, *rest = _command(case.request(compiler, environment.default_standard, {}))
        with Workspace.create(sources) as workspace:
            shutil.copy(evil, workspace.path / "evil.so")
            for name in entry.programs:
                (workspace.path / name).chmod(0o755)
            options = [_put_in(option, hidden) for option in entry.options]
            return sandbox.run(Command([first, *options, *rest]), workspace, LIMITS)

    compilers = [pick(compiler) for compiler in in_tier(fast=entry.compilers[:1], full=entry.compilers)]
    before = Leftovers.look()
    results = _in_pairs(force, compilers)
    left = Leftovers.look().since(before)
    for compiler, result in zip(compilers, results, strict=True):
        output = (result.stdout + result.stderr).decode(errors="replace")
        detail = f"{compiler}: {result.exit_code} {result.signal} {result.limit_hit}\n{output[:3000]}"
        assert _put_in(entry.says, hidden) in output, detail
        assert result.limit_hit in (entry.limit, entry.or_limit or entry.limit), detail
        assert hidden.found_in(output) == [], detail
        assert "wrote /" not in output and "connected" not in output, detail
    assert left == []


@pytest.mark.parametrize("name", _NAMES, ids=repr)
def test_a_hostile_file_name_is_invalid_for_the_api_and_for_the_runner(
    name: str, toolchains: Toolchains, pick: Pick
) -> None:
    """A name that leads elsewhere or reads as something else gets a 400, and starts nothing in a job."""
    assert check_file_names([name]) is not None or name in _NAME_LISTS["invalid_in_c"]
    request_body = _client_request(pick("gcc"), files={"main.c": "int x;\n", name: "int y;\n"})
    with pytest.raises(RequestError):
        resolve(parse(request_body), load_catalog(), toolchains.environments)
    environment = toolchains.environment("c", pick("gcc"))
    assert environment is not None
    case = Case(id="name", claim="", verdict=Verdict.COMPILES, files={"main.c": "int x;\n", name: "int y;\n"})
    _check_never_run(case.request(environment.id, environment.default_standard, {}), toolchains)


def test_names_that_look_like_options_are_files(sandbox: Sandbox, toolchains: Toolchains, pick: Pick) -> None:
    """Each is compiled, or there to be included, and an error in it is reported under its name."""
    names = _NAME_LISTS["harmless"]
    units = [name for name in names if name.endswith(".c")]
    files = {"main.c": "int x;\n"} | dict.fromkeys(names, "int ok;\nint bad = missing;\n")
    for compiler in (pick("gcc"), pick("clang")):
        request = resolve(
            parse(_client_request(compiler, files=files)), load_catalog(), toolchains.environments
        )
        result = JobExecutor(sandbox, load_catalog(), toolchains, LIMITS).compile("names", request)
        assert result.verdict is Verdict.REJECTED, result
        assert result.compiled_files == ("main.c", *sorted(units))
        errors = {item.file: item.line for item in result.diagnostics if item.severity is Severity.ERROR}
        assert errors == dict.fromkeys(units, 2), result.stderr


def test_a_link_in_a_workspace_leads_nowhere(sandbox: Sandbox, hidden: Secrets, pick: Pick) -> None:
    """A symbolic link in a workspace ends the run, or points at nothing inside; it is never followed."""
    for target in (hidden.paths["canary"], "/etc", "/", "..", "/proc/1/root"):
        with Workspace.create({"main.c": '#include "link"\n'}) as workspace:
            os.symlink(target, workspace.path / "link")
            try:
                result = sandbox.run(Command([pick("gcc"), "-c", "main.c"]), workspace, LIMITS)
            except SandboxError:
                continue
            output = (result.stdout + result.stderr).decode(errors="replace")
            assert result.exit_code != 0 and hidden.found_in(output) == [], (target, output)


def test_the_corpus_is_as_large_as_promised() -> None:
    """At least eighty jobs with a name of their own, in C, C++ and assembler, some in several files."""
    names = [case.id for case in _CORPUS]
    assert len(set(names)) == len(names) >= 80
    assert {case.language for case in _CORPUS} == {"c", "cpp"}
    assert sum("asm(" in "".join(case.files.values()) for case in _CORPUS) >= 12
    assert sum(len(case.files) + len(case.repeated) > 1 for case in _CORPUS) >= 10
    assert len(_OPTIONS) >= 40 and len(_NAMES) >= 50
