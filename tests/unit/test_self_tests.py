"""The self-tests of a runner that starts: their order, what is offered meanwhile, and what is remembered."""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.catalog import Catalog, parse_catalog
from chalicelib.catalog.loader import catalog_texts
from chalicelib.models import UntestedCompiler
from runner.sandbox.base import Command, SandboxResult
from runner.sandbox.limits import default_limits
from runner.toolchains.host_record import HostRecord, cache_folder
from runner.toolchains.self_tests import SelfTests
from tests.support.factories import make_run
from tests.support.fake_sandbox import FakeSandbox
from tests.support.servers import wait_until

_COMPILERS = ("gcc-12", "gcc-13", "gcc-14", "clang-19")
_LANGUAGE_HEAD = catalog_texts().languages["c.toml"].partition("[[compilers]]")[0]
_ENTRY = """
[[compilers]]
id = "{id}"
family = "{family}"
command = ["{name}"]
default_standard = "gnu17"
newest_standard = "c17"
"""


def _catalog() -> Catalog:
    """C with numbered compilers, one whose version is not in its name, and one that is not installed."""
    names = [(name, name) for name in (*_COMPILERS, "clang-22")] + [("gcc", "gcc-{version}")]
    entries = [_ENTRY.format(name=name, id=id_, family=name.partition("-")[0]) for name, id_ in names]
    families = dict(catalog_texts().families)
    families["gcc.toml"] = families["gcc.toml"].replace("loads = [", 'loads = ["part-{major}", ')
    return parse_catalog({"c.toml": _LANGUAGE_HEAD + "".join(entries)}, families)


class _Machine:
    """Compilers that are files, a sandbox in which their tests wait for the test's word, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in (*_COMPILERS, "gcc"):
            (self.bin / name).write_text(f"#!{name}\n")
        (self.bin / "part-14").write_text("cc1")
        self.cache = folder / "cache"
        self.limits = default_limits()
        self.sandbox = FakeSandbox(self._outcome_of, name="bubblewrap")
        self.go = threading.Event()
        self.go.set()
        self.broken: set[str] = set()
        # The compilers that were tested, in this order; a version is not a test.
        self.tested: list[str] = []
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        """The path of a compiler, as a sandbox finds it."""
        path = self.bin / name
        return str(path) if path.exists() else None

    def _outcome_of(self, command: Command, workspace: Path) -> SandboxResult:
        name = command.argv[0]
        if name == "test":
            return make_run(exit_code=1)  # no folder of another target
        version = f"{name.rpartition('-')[2]}.1.0" if "-" in name else "15.2.0"
        if "--version" in command.argv:
            return make_run(stdout=f"{name} (Debian) {version}\nclang version {version}\n".encode())
        with self._lock:
            if name not in self.tested:
                self.tested.append(name)
        while not self.go.wait(0.01):
            if self.sandbox.cancel is not None and self.sandbox.cancel.is_set():
                return replace(make_run(), cancelled=True)
        source = (workspace / "main.c").read_text() if command.argv[-1].endswith("main.c") else ""
        if name in self.broken:
            return make_run(exit_code=1, stderr=b"thread 'gcc' panicked\n\x1b[31mframe 1\nframe 2\n")
        if "undeclared" in source:
            return make_run(exit_code=1, stderr=b"main.c:2:12: error: no\n")
        return make_run()

    @contextmanager
    def started(self, patterns: Sequence[str] = ("*",)) -> Iterator[SelfTests]:
        """Self-tests that have begun; they are stopped at the end."""
        self.tested.clear()
        catalog, tests = _catalog(), SelfTests()
        record = HostRecord(self.cache, catalog, self.sandbox, self.limits, self.find)
        tests.start(
            catalog,
            self.sandbox,
            self.limits,
            find_executable=self.find,
            patterns=patterns,
            image="",
            record=record,
        )
        try:
            yield tests
        finally:
            tests.stop()

    def offered(self) -> set[str]:
        """What a start offers in the end."""
        with self.started() as tests:
            return {item.id for item in tests.wait().environments}

    @property
    def file(self) -> Path:
        """The record."""
        [file] = self.cache.iterdir()
        return file


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    """A machine on which nothing has been tested."""
    return _Machine(tmp_path)


_ALL = {*_COMPILERS, "gcc-15.2"}


def test_each_compiler_is_offered_when_it_has_passed(machine: _Machine) -> None:
    """While others are tested it is there, and those are listed with what is known of their versions."""
    machine.go.clear()
    with machine.started() as tests:
        assert tests.toolchains.environments == () and not tests.ended
        assert {item.id for item in tests.untested()} >= set(_COMPILERS)
        wait_until(lambda: len(machine.tested) == 2, "two tests at once")
        machine.go.set()
        assert {item.id for item in tests.wait().environments} == _ALL
        assert tests.untested() == () and tests.ended


def test_the_newest_compiler_is_tested_first_and_a_preferred_one_before_it(machine: _Machine) -> None:
    """Requests that name none need the newest; one that waits for another changes the order."""
    with machine.started() as tests:
        tests.wait()
    # Two threads begin at once, so either of them may be seen first.
    assert "clang-19" in machine.tested[:2]
    machine.file.unlink()
    machine.go.clear()
    with machine.started() as tests:
        wait_until(lambda: len(machine.tested) == 2, "two tests at work")
        last = [name for name in _COMPILERS if name not in machine.tested][-1]
        tests.prefer([UntestedCompiler(id=last, language="c", family="gcc")])
        machine.go.set()
        tests.wait()
    assert last in machine.tested[2:4]


def test_a_job_waits_for_the_test_of_its_compiler_only(machine: _Machine) -> None:
    """It goes on when that is decided; for a compiler that is not here, or when it is cancelled, at once."""
    machine.go.clear()
    with machine.started() as tests:
        tests.wait_for_test("c", "clang-22")
        cancelled = threading.Event()
        cancelled.set()
        tests.wait_for_test("c", "gcc-13", cancelled)
        waiting = threading.Thread(target=tests.wait_for_test, args=("c", "gcc-15.2"))
        waiting.start()
        machine.go.set()
        waiting.join(30)
        assert tests.environment("c", "gcc-15.2") is not None


def test_what_passed_is_offered_at_once_by_the_next_start(machine: _Machine) -> None:
    """Nothing is tested again, and what is offered is the same, down to the entries of the catalogue."""
    with machine.started() as tests:
        first = tests.wait()
    with machine.started() as tests:
        assert tests.toolchains.environments == first.environments
        assert tests.toolchains.entries == first.entries
        assert tests.wait() == first
    assert machine.tested == []
    assert (machine.cache.stat().st_mode & 0o777, machine.file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_compilers_does_not_forget_the_others(machine: _Machine) -> None:
    """A start with fewer compilers keeps what is known of the rest."""
    assert machine.offered() == _ALL
    with machine.started(["clang-*"]) as tests:
        assert {item.id for item in tests.wait().environments} == {"clang-19"}
    assert machine.offered() == _ALL and machine.tested == []


def test_what_failed_is_tested_again(machine: _Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Only what passes is remembered. The log has the first line of what it printed, the rest at DEBUG."""
    machine.broken = {"gcc-13"}
    with caplog.at_level(logging.DEBUG):
        assert machine.offered() == _ALL - {"gcc-13"}
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "gcc-13 (c) is not offered" in warning and "panicked" in warning and "frame" not in warning
    assert any("frame 2" in record.getMessage() for record in caplog.records)
    machine.broken = set()
    assert machine.offered() == _ALL
    assert machine.tested == ["gcc-13"]


def _replace(path: Path) -> None:
    """A file of the same size, with the same time of change, in its place."""
    status = path.stat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.rename(path)


def _write_over(path: Path) -> None:
    """Other bytes in the same file, with the same time of change: only that of the inode tells."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_replace, "gcc-14"),
        (_write_over, "gcc-14"),
        (_link, "gcc-14"),
        (_replace, "part-14"),
        (_write_over, "part-14"),
    ],
)
def test_a_compiler_that_was_changed_is_tested_again_alone(
    machine: _Machine, change: Callable[[Path], None], name: str
) -> None:
    """Also when only a file that it loads is another one; for the other compilers the record counts."""
    assert machine.offered() == _ALL
    change(machine.bin / name)
    assert machine.offered() == _ALL
    # Of the compiler without a number in its name every number counts.
    assert sorted(machine.tested) == (["gcc-14"] if name == "gcc-14" else ["gcc", "gcc-14"])


def test_lower_limits_repeat_the_tests_and_higher_ones_do_not(machine: _Machine) -> None:
    """What passed with less memory passes with more."""
    assert machine.offered() == _ALL
    machine.limits = replace(machine.limits, memory_bytes=machine.limits.memory_bytes * 2)
    assert machine.offered() == _ALL and machine.tested == []
    machine.limits = replace(machine.limits, memory_bytes=machine.limits.memory_bytes // 4)
    assert machine.offered() == _ALL and len(machine.tested) == len(_ALL)


def _another_kernel(machine: _Machine) -> None:
    content = json.loads(machine.file.read_text())
    content["record"]["circumstances"]["the kernel"] = "another"
    record = json.dumps(content["record"], separators=(",", ":"), ensure_ascii=False)
    content["checksum"] = hashlib.sha256(record.encode()).hexdigest()
    machine.file.write_text(json.dumps(content))


def _other_owner(machine: _Machine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    os.chown(machine.file, 59_000, 59_000)


def _as_link(machine: _Machine) -> None:
    target = machine.cache.parent / "record"
    machine.file.rename(target)
    (machine.cache / _name(machine)).symlink_to(target)


def _name(machine: _Machine) -> str:
    probe = HostRecord(None, _catalog(), machine.sandbox, machine.limits, machine.find)
    return probe.name


def _folder_of_others(machine: _Machine) -> None:
    machine.cache.chmod(0o777)


def _hard_link(machine: _Machine) -> None:
    os.link(machine.file, machine.cache.parent / "second name")


_SPOILS: dict[str, Callable[[_Machine], object]] = {
    "cut": lambda machine: machine.file.write_bytes(machine.file.read_bytes()[:-9]),
    "empty": lambda machine: machine.file.write_bytes(b""),
    "no text": lambda machine: machine.file.write_bytes(b"\xff\0" * 99),
    "deep": lambda machine: machine.file.write_bytes(b"[" * 200_000),
    "too long": lambda machine: machine.file.write_bytes(machine.file.read_bytes() + b" " * 5_000_000),
    "another version": lambda machine: machine.file.write_text(
        machine.file.read_text().replace("14.1.0", "14.9.0")
    ),
    "of another kernel": _another_kernel,
    "writable by others": lambda machine: machine.file.chmod(0o620),
    "of another owner": _other_owner,
    "a link": _as_link,
    "with a second name": _hard_link,
    "in a folder of others": _folder_of_others,
}


@pytest.mark.parametrize("kind", _SPOILS)
def test_a_record_that_cannot_be_trusted_is_ignored_with_one_line(
    machine: _Machine, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """Every compiler is tested as if there were none, and the next start has a good record again."""
    assert machine.offered() == _ALL
    _SPOILS[kind](machine)
    with caplog.at_level(logging.INFO):
        assert machine.offered() == _ALL
    assert len(machine.tested) == len(_ALL)
    [line] = [text for text in caplog.messages if "passed before is not used" in text]
    assert "\n" not in line
    assert kind != "of another kernel" or line.endswith("the kernel changed since then")
    if kind == "in a folder of others":
        assert machine.cache.stat().st_mode & 0o777 == 0o777, "what is not ours is not changed"
        return
    assert machine.offered() == _ALL and machine.tested == []


def test_two_records_written_at_once_are_one(machine: _Machine) -> None:
    """Runners that test other compilers at the same time do not take away what the other one wrote."""
    with machine.started(["gcc-*"]) as gccs, machine.started(["clang-*"]) as clangs:
        gccs.wait()
        clangs.wait()
    assert machine.offered() == _ALL and machine.tested == []
    assert [path.name for path in machine.cache.iterdir()] == [machine.file.name]


def test_a_compiler_that_is_replaced_while_the_runner_works_is_tested_again(
    machine: _Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Its next job waits for the test of the new file; compilers that stay are left alone."""
    with machine.started() as tests:
        tests.wait()
        machine.tested.clear()
        tests.test_if_replaced("c", "gcc-13")
        tests.test_if_replaced("c", "gcc-99")
        assert tests.ended and machine.tested == []
        (machine.bin / "gcc-13").write_text("#!another\n")
        machine.go.clear()
        with caplog.at_level(logging.WARNING):
            tests.test_if_replaced("c", "gcc-13")
            tests.test_if_replaced("c", "gcc-13")
        assert tests.environment("c", "gcc-13") is None
        assert [item.id for item in tests.untested()] == ["gcc-13"]
        assert [record.getMessage() for record in caplog.records] == [
            "compiler: gcc-13 (c) has been replaced: it is tested again"
        ]
        machine.go.set()
        tests.wait_for_test("c", "gcc-13")
        assert tests.environment("c", "gcc-13") is not None
        assert machine.tested == ["gcc-13"]
        machine.broken.add("gcc-14")
        (machine.bin / "gcc-14").write_text("#!broken\n")
        tests.test_if_replaced("c", "gcc-14")
        tests.wait_for_test("c", "gcc-14")
        assert tests.environment("c", "gcc-14") is None


def test_a_stop_ends_the_tests(machine: _Machine) -> None:
    """What was cut short is neither offered nor remembered, nor counted as a failure."""
    machine.go.clear()
    with machine.started() as tests:
        wait_until(lambda: len(machine.tested) == 2, "two tests at work")
        tests.stop()
        assert tests.toolchains.environments == () and not tests.ended
    assert list(machine.cache.iterdir()) == []


def test_the_cache_is_where_the_xdg_specification_has_it(tmp_path: Path) -> None:
    """A relative path in the variable does not count; without a home nothing is remembered."""
    assert cache_folder({"XDG_CACHE_HOME": "/c", "HOME": "/h"}) == Path("/c/will-it-compile")
    assert cache_folder({"XDG_CACHE_HOME": "c", "HOME": "/h"}) == Path("/h/.cache/will-it-compile")
    assert cache_folder({"HOME": "relative"}) is None
