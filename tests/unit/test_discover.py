"""The record of self-tests: when it is trusted, when it is not, and what a start costs in both cases."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.catalog import Catalog, parse_catalog
from chalicelib.catalog.loader import catalog_texts
from runner.sandbox.base import Command, SandboxResult
from runner.sandbox.limits import default_limits
from runner.toolchains.build_record import RecordInvalid, read_record, write_record
from runner.toolchains.discover import find_toolchains, run_self_tests
from runner.toolchains.model import Toolchains
from runner.toolchains.probe import probe_toolchains
from tests.support.factories import make_run
from tests.support.fake_sandbox import FakeSandbox

_COMPILERS = ("gcc-13", "gcc-14", "clang-19")
_LANGUAGE_HEAD = catalog_texts().languages["c.toml"].partition("[[compilers]]")[0]
_ENTRY = """
[[compilers]]
id = "{name}"
family = "{family}"
command = ["{name}"]
default_standard = "gnu17"
newest_standard = "c17"
"""


def _catalog() -> Catalog:
    """C with two families, and one compiler that is not installed."""
    names = (*_COMPILERS, "clang-22")
    entries = [_ENTRY.format(name=name, family=name.partition("-")[0]) for name in names]
    return parse_catalog({"c.toml": _LANGUAGE_HEAD + "".join(entries)}, catalog_texts().families)


class _Machine(FakeSandbox):
    """Compilers that are files, and a sandbox in which they tell versions and take programs by their text."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self._outcome_of, name="setpriv")
        self.folder = folder
        self.broken: set[str] = set()
        self.runs: list[str] = []
        for name in _COMPILERS:
            (folder / name).write_text(f"#!{name}\n")

    def find(self, name: str) -> str | None:
        path = self.folder / name
        return str(path) if path.exists() else None

    def _outcome_of(self, command: Command, workspace: Path) -> SandboxResult:
        name = command.argv[0]
        self.runs.append(name)
        version = f"{name.rpartition('-')[2]}.1.0"
        if "--version" in command.argv:
            return make_run(stdout=f"{name} (Debian) {version}\nclang version {version}\n".encode())
        source = (workspace / "main.c").read_text() if command.argv[-1].endswith("main.c") else ""
        if name in self.broken:
            return make_run(exit_code=1, stderr=b"cannot start\n")
        if "undeclared" in source:
            return make_run(exit_code=1, stderr=b"main.c:2:12: error: no\n")
        return make_run()


class _Image:
    """An image that was built: a machine and its record."""

    def __init__(self, folder: Path) -> None:
        (folder / "bin").mkdir()
        self.machine = _Machine(folder / "bin")
        self.path = folder / "self-tests.json"
        self.limits = default_limits()
        _, problems = run_self_tests(
            _catalog(), self.machine, find_executable=self.machine.find, path=self.path
        )
        assert problems == []
        self.machine.runs.clear()

    def start(self, patterns: Sequence[str] = ("*",), image: str = "") -> Toolchains:
        """What a runner that starts in it offers."""
        return find_toolchains(
            _catalog(),
            self.machine,
            self.limits,
            find_executable=self.machine.find,
            patterns=patterns,
            image=image,
            path=self.path,
        )

    def probed(self) -> Toolchains:
        """What a full probe finds, for comparison; its runs do not count."""
        runs = list(self.machine.runs)
        toolchains = probe_toolchains(
            _catalog(), self.machine, self.limits, find_executable=self.machine.find
        )
        self.machine.runs[:] = runs
        return toolchains

    def change(self, **changes: object) -> None:
        """Write the record with other values and a correct checksum."""
        write_record(self.path, read_record(self.path).model_copy(update=changes))


@pytest.fixture
def image(tmp_path: Path) -> _Image:
    """A built image with three compilers of two families."""
    return _Image(tmp_path)


def _ids(toolchains: Toolchains) -> list[str]:
    return [each.id for each in toolchains.environments]


def test_a_valid_record_replaces_the_tests(image: _Image, caplog: pytest.LogCaptureFixture) -> None:
    """Exactly what a full probe finds is offered, for one run of the newest compiler of each family."""
    with caplog.at_level(logging.INFO):
        toolchains = image.start()
    assert sorted(image.machine.runs) == ["clang-19", "gcc-14"]
    probed = image.probed()
    assert toolchains.environments == probed.environments and toolchains.entries == probed.entries
    [line] = caplog.messages
    assert "record is used for 3 compilers" in line


def test_patterns_and_the_name_of_the_image_count_as_without_a_record(image: _Image) -> None:
    """COMPILERS excludes the same compilers, before any is tested, and RUNNER_IMAGE is set."""
    toolchains = image.start(["gcc-*"], "registry/runner:1")
    assert _ids(toolchains) == ["gcc-13", "gcc-14"] and image.machine.runs == ["gcc-14"]
    assert {each.image for each in toolchains.environments} == {"registry/runner:1"}
    assert [(each.compiler, each.reason) for each in toolchains.unavailable] == [
        ("clang-19", "COMPILERS does not include it.")
    ]


def _make_a_folder(image: _Image) -> None:
    image.path.unlink()
    image.path.mkdir()


def _cut(image: _Image) -> None:
    image.path.write_bytes(image.path.read_bytes()[:-100])


def _tamper(image: _Image) -> None:
    text = image.path.read_text()
    image.path.write_text(text.replace('"14.1.0"', '"14.9.0"'))
    assert image.path.read_text() != text


def _tighten(image: _Image) -> None:
    image.limits = replace(image.limits, memory_bytes=image.limits.memory_bytes - 1)


def _replace_compiler(image: _Image) -> None:
    (image.machine.folder / "gcc-13").write_text("#!another gcc-13\n")


def _touch_compiler(image: _Image) -> None:
    os.utime(image.machine.folder / "gcc-13", (1, 1))


def _link_compiler(image: _Image) -> None:
    """The same size and time, but another file."""
    path = image.machine.folder / "gcc-13"
    shutil.copy2(path, path.with_name("other"))
    path.unlink()
    path.symlink_to("other")


_INVALID: dict[str, tuple[Callable[[_Image], object], str]] = {
    "missing": (lambda image: image.path.unlink(), "no record"),
    "a folder": (_make_a_folder, "cannot be read"),
    "empty": (lambda image: image.path.write_text(""), "damaged"),
    "cut": (_cut, "damaged"),
    "no text": (lambda image: image.path.write_bytes(b"\xff\xfe\0"), "damaged"),
    "of another shape": (lambda image: image.path.write_text('{"checksum": ""}'), "damaged"),
    "tampered with": (_tamper, "was changed"),
    "writable by others": (lambda image: image.path.chmod(0o666), "written by others"),
    "of other code": (lambda image: image.change(sources="0" * 64), "the catalogue or the code"),
    "of another sandbox": (lambda image: image.change(sandbox="bubblewrap"), "sandbox bubblewrap"),
    "of higher limits": (_tighten, "memory_bytes"),
    "of a compiler that was replaced": (_replace_compiler, "gcc-13"),
    "of a compiler that was touched": (_touch_compiler, "gcc-13"),
    "of a compiler that is elsewhere": (_link_compiler, "gcc-13"),
    "without a new compiler": (lambda image: (image.machine.folder / "clang-22").touch(), "clang-22"),
    "of a compiler that is gone": (lambda image: (image.machine.folder / "gcc-14").unlink(), "gcc-14"),
    "of what the catalogue lacks": (
        lambda image: image.change(
            passed=tuple(
                each.model_copy(update={"executable": "gcc-77"}) for each in read_record(image.path).passed
            )
        ),
        "the catalogue has no c/gcc-13",
    ),
}


@pytest.mark.parametrize("case", _INVALID)
def test_an_invalid_record_is_ignored(image: _Image, caplog: pytest.LogCaptureFixture, case: str) -> None:
    """Whatever differs, every compiler is tested, with the result of a full probe, and one line says why."""
    spoil, reason = _INVALID[case]
    spoil(image)
    with caplog.at_level(logging.INFO):
        toolchains = image.start()
    [line] = caplog.messages
    assert "testing every compiler now" in line and reason in line and "\n" not in line
    # At least version, good program and bad program; with a valid record it is one run.
    assert all(image.machine.runs.count(name) >= 3 for name in _ids(toolchains))
    assert toolchains == image.probed()


def test_limits_that_are_higher_do_not_matter(image: _Image) -> None:
    """A compiler that passed with lower limits passes with higher ones."""
    image.limits = replace(image.limits, cpu_seconds=image.limits.cpu_seconds * 2)
    image.start()
    assert len(image.machine.runs) == 2


def test_a_family_that_does_not_start_here_is_tested_again_alone(
    image: _Image, caplog: pytest.LogCaptureFixture
) -> None:
    """Its compilers are offered if they pass now; for the other families the record counts."""
    image.machine.broken = {"gcc-14"}
    with caplog.at_level(logging.INFO):
        toolchains = image.start()
    assert sorted(_ids(toolchains)) == ["clang-19", "gcc-13"]
    assert image.machine.runs.count("clang-19") == 1
    [broken] = [each for each in toolchains.unavailable if each.installed]
    assert broken.compiler == "gcc-14" and "cannot start" in broken.reason
    assert set(toolchains.entries) == {("c", "clang-19"), ("c", "gcc-13")}
    [warning] = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert "family gcc" in warning and "gcc-14" in warning and "cannot start" in warning


def test_a_busy_builder_is_given_time(image: _Image) -> None:
    """The build waits longer than a runner would, and its record is valid for a runner."""
    usual = default_limits()
    assert min(limits.wall_seconds for limits in image.machine.limits) > usual.wall_seconds
    assert read_record(image.path).limits == usual


def test_a_compiler_that_fails_leaves_no_record(tmp_path: Path) -> None:
    """The image is not built with it: its name and the reason are reported, and nothing is written."""
    machine, path = _Machine(tmp_path), tmp_path / "record.json"
    machine.broken = {"gcc-13"}
    passed, problems = run_self_tests(_catalog(), machine, find_executable=machine.find, path=path)
    assert passed == ("c/gcc-14", "c/clang-19") and not path.exists()
    [problem] = problems
    assert problem.startswith("gcc-13 (c) fails: ") and "cannot start" in problem


def test_a_compiler_that_was_promised_and_is_not_found_leaves_no_record(tmp_path: Path) -> None:
    """A pattern that matches nothing is reported; a compiler without a pattern may be missing."""
    machine, path = _Machine(tmp_path), tmp_path / "record.json"
    promised = ["*/gcc-14", "c/*", "*/gcc-15"]
    _, problems = run_self_tests(
        _catalog(), machine, find_executable=machine.find, promised=promised, path=path
    )
    assert len(problems) == 1 and "*/gcc-15" in problems[0] and not path.exists()


def test_a_written_record_can_be_read(image: _Image) -> None:
    """Everybody may read the file, but only its owner may write it."""
    record = read_record(image.path)
    assert set(record.executables) == set(_COMPILERS)
    assert image.path.stat().st_mode & 0o777 == 0o644


def test_an_unreadable_record_says_so_in_one_line(tmp_path: Path) -> None:
    """The reason is one line without text from the record."""
    path = tmp_path / "record.json"
    path.write_text('{"checksum": "secret\\nsecond line"}')
    with pytest.raises(RecordInvalid, match=r"^the record is damaged$"):
        read_record(path)
