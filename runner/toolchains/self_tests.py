"""The self-tests of a runner that starts: compilers are offered one by one, as they pass.

Two threads test. The order is by what is needed: the compiler that a request waits for comes first, then the
newest one of each language, which serves requests that name none. What passed on this host before and has not
changed is offered at once (host_record.py).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from chalicelib.catalog import Catalog, CompilerEntry, Language, version_key
from chalicelib.models import Environment, UntestedCompiler
from runner.sandbox.base import Limits, Sandbox, SandboxError
from runner.toolchains.build_record import FindExecutable
from runner.toolchains.host_record import HostRecord, Identity, are_unchanged
from runner.toolchains.model import Toolchains, Unavailable, excluded, matches
from runner.toolchains.probe import (
    PROBE_THREADS,
    Excluded,
    Passed,
    Probe,
    SelfTestError,
    join_outcomes,
    not_installed,
)

# A sandbox ends a cancelled run within 0.2 s, an engine within a second more.
_STOP_SECONDS = 2.0
# How long one wait for a test lasts before a cancel is looked for.
_LOOK_SECONDS = 0.1

logger = logging.getLogger("will_it_compile.runner")


@dataclass(eq=False, slots=True)
class _Test:
    """The test of one compiler, at its place in the catalogue."""

    language: Language
    compiler: CompilerEntry
    make_probe: Callable[[Language, CompilerEntry], Probe]
    probe: Probe = field(init=False)
    running: bool = False
    # Version, and the line that names it; asked for first where the id depends on it.
    version: tuple[str, str] | None = None
    files: dict[str, Identity] = field(default_factory=dict)
    outcome: Passed | Unavailable | None = None

    def __post_init__(self) -> None:
        """Begin with a new probe."""
        self.reset()

    def reset(self) -> None:
        """Forget what is known of the compiler."""
        self.probe = self.make_probe(self.language, self.compiler)
        self.version = self.outcome = None

    @property
    def names(self) -> tuple[str, str]:
        """The id as the catalogue has it, and as far as it is known."""
        return self.compiler.id, self.probe.id

    @property
    def known_version(self) -> tuple[int, ...]:
        """What is known of the version: all of it, or the numbers in the id, or nothing."""
        number = self.version[0] if self.version else self.compiler.id.rpartition("-")[2]
        return version_key(number) if number.replace(".", "").isdigit() else ()

    def means(self, language: str, compiler: str) -> bool:
        """Whether it may turn out to be that compiler."""
        return self.language.id == language and fnmatchcase(compiler, self.probe.id.replace("{version}", "*"))


class SelfTests:
    """What a runner offers now, and the tests of the rest, once `start` is called. Safe with threads."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called, on the threads that test, whenever more is known, and when all is."""
        self.on_change = on_change
        # Reentrant, as `_update` is called with and without it.
        self._changed = threading.Condition(threading.RLock())
        self._stopping = threading.Event()
        self._tests: list[_Test] = []
        self._preferred: dict[tuple[str, str], int] = {}
        self._unavailable: list[Unavailable] = []
        self._toolchains = Toolchains(())
        self._record: HostRecord | None = None
        self._finding = False
        self._ended = False
        self._threads: list[threading.Thread] = []

    def start(
        self,
        catalog: Catalog,
        sandbox: Sandbox,
        limits: Limits,
        *,
        find_executable: FindExecutable,
        patterns: Sequence[str],
        image: str,
        record: HostRecord,
    ) -> None:
        """Offer what passed before, and test the other compilers on threads."""
        self._record = record

        def make_probe(language: Language, compiler: CompilerEntry) -> Probe:
            return Probe(catalog, sandbox, limits, language, compiler, image, patterns, cancel=self._stopping)

        for language in catalog.languages:
            for compiler in language.compilers:
                if find_executable(compiler.executable) is None:
                    self._unavailable.append(not_installed(language, compiler))
                    continue
                if "{version}" not in compiler.id and not matches(language.id, compiler.id, patterns):
                    self._unavailable.append(excluded(language.id, compiler.id))
                    continue
                test = _Test(language, compiler, make_probe)
                files = record.files_of(compiler)
                passed = record.recall(language, compiler, image)
                if passed is not None and matches(language.id, passed.environment.id, patterns):
                    test.outcome, test.files = passed, files
                self._tests.append(test)
        remembered = sum(test.outcome is not None for test in self._tests)
        logger.info(
            "self-tests: of %d compilers here %d have passed before and not changed, %d are tested now",
            len(self._tests),
            remembered,
            len(self._tests) - remembered,
        )
        self._update()
        self.on_change()
        for _ in range(PROBE_THREADS):
            self._start_thread()

    def start_finding(self, find: Callable[[], Toolchains]) -> None:
        """Offer what `find` returns, all at once: it is called on a thread, and tests by itself."""
        self._finding = True

        def work() -> None:
            try:
                toolchains = find()
            except Exception:
                logger.exception("self-tests: they failed unexpectedly: no compiler is offered")
                toolchains = Toolchains(())
            with self._changed:
                self._toolchains = toolchains
                self._finding = False
            for unavailable in toolchains.unavailable:
                _log_unavailable(unavailable)
            self._end_if_done()
            self.on_change()

        threading.Thread(target=work, name="self-tests", daemon=True).start()

    def stop(self) -> None:
        """End the tests that are running, and start no more; waits until their files are removed."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    # -- what is known now

    @property
    def toolchains(self) -> Toolchains:
        """What is offered now."""
        return self._toolchains

    @property
    def ended(self) -> bool:
        """All tests are over."""
        return self._ended

    def untested(self) -> tuple[UntestedCompiler, ...]:
        """The compilers that are here and not tested yet."""
        with self._changed:
            return tuple(
                UntestedCompiler(
                    id=test.probe.id,
                    language=test.language.id,
                    family=test.compiler.family,
                    version_key=test.known_version,
                )
                for test in self._tests
                if test.outcome is None
            )

    def environment(self, language: str, compiler: str) -> Environment | None:
        """The environment of that compiler, if it is offered now."""
        return self._toolchains.environment(language, compiler)

    def entry(self, environment: Environment) -> CompilerEntry:
        """The catalogue's entry behind an environment."""
        return self._toolchains.entry(environment)

    # -- waiting

    def wait(self) -> Toolchains:
        """What is offered when all tests are over."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._stopping.is_set())
        return self._toolchains

    def wait_for_test(self, language: str, compiler: str, cancel: threading.Event | None = None) -> None:
        """Wait until that compiler is offered, or is known not to be; it is tested first."""
        with self._changed:
            while not self._is_decided(language, compiler):
                if self._stopping.is_set() or (cancel is not None and cancel.is_set()):
                    return
                self._prefer([(language, name) for name in self._names_of(language, compiler)])
                self._changed.wait(_LOOK_SECONDS)

    def test_if_replaced(self, language: str, compiler: str) -> None:
        """Test an offered compiler again if its files are others than were tested: it may be another one."""
        key = (language, compiler)
        with self._changed:
            test = next((test for test in self._tests if _offered_by(test) == key), None)
            if test is None or are_unchanged(test.files):
                return
            logger.warning("compiler: %s (%s) has been replaced: it is tested again", compiler, language)
            test.reset()
            self._ended = False
            self._update()
            self._start_thread()

    def prefer(self, compilers: Sequence[UntestedCompiler]) -> None:
        """Test these before all others, the first of them first."""
        with self._changed:
            self._prefer([(item.language, item.id) for item in compilers])

    def _prefer(self, names: Sequence[tuple[str, str]]) -> None:
        if names:
            self._preferred = {name: rank for rank, name in enumerate(names)}

    def _is_decided(self, language: str, compiler: str) -> bool:
        if self._toolchains.environment(language, compiler) is not None:
            return True
        return not self._finding and not self._names_of(language, compiler)

    def _names_of(self, language: str, compiler: str) -> list[str]:
        return [
            test.probe.id for test in self._tests if test.outcome is None and test.means(language, compiler)
        ]

    # -- testing

    def _next(self) -> _Test | None:
        """The test to do next; None when all are done or being done."""
        waiting = [test for test in self._tests if test.outcome is None and not test.running]
        if self._stopping.is_set() or not waiting:
            return None
        newest = {test.language.id: test for test in sorted(self._tests, key=lambda test: test.known_version)}

        def rank(test: _Test) -> tuple[int, bool]:
            ranks = (self._preferred.get((test.language.id, name)) for name in test.names)
            preferred = [rank for rank in ranks if rank is not None]
            is_newest = newest[test.language.id] is test
            return min(preferred, default=len(self._tests)), not is_newest

        return min(waiting, key=rank)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"self-test-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                test = self._next()
                if test is None:
                    break
                test.running = True
            outcome = self._run(test)
            with self._changed:
                test.running = False
                if self._stopping.is_set():
                    break
                test.outcome = outcome
                self._update()
            if isinstance(outcome, Unavailable):
                _log_unavailable(outcome)
            self._end_if_done()
            self.on_change()
        self._end_if_done()

    def _run(self, test: _Test) -> Passed | Unavailable | None:
        """The outcome of a test; None when the version is known now, and the rest is to be tested."""
        assert self._record is not None  # set by `start`
        try:
            if test.version is None:
                # Before anything runs: a compiler that is replaced meanwhile is tested again the next time.
                test.files = self._record.files_of(test.compiler)
                test.version = test.probe.identify()
                if "{version}" in test.compiler.id:
                    return None
            passed = test.probe.test(*test.version)
        except Excluded:
            return excluded(test.language.id, test.compiler.id)
        except (SelfTestError, SandboxError, OSError, ValueError) as error:
            detail = getattr(error, "detail", "")
            return Unavailable(test.language.id, test.compiler.id, str(error), installed=True, detail=detail)
        except Exception:
            # A defect must not leave those waiting who wait for this test.
            logger.exception("self-tests: that of %s (%s) failed", test.probe.id, test.language.id)
            reason = "its self-test failed unexpectedly; this is a defect: please report it"
            return Unavailable(test.language.id, test.compiler.id, reason, installed=True)
        if test.files and not self._stopping.is_set():
            try:
                self._record.remember(passed, test.files)
            except Exception:
                # It costs time at the next start, and must not leave those waiting who wait for this test.
                logger.exception("self-tests: that %s passed could not be kept", test.probe.id)
        return passed

    def _update(self) -> None:
        with self._changed:
            joined = join_outcomes([test.outcome for test in self._tests if test.outcome is not None])
            self._toolchains = Toolchains(
                joined.environments, (*self._unavailable, *joined.unavailable), joined.entries
            )
            self._changed.notify_all()

    def _end_if_done(self) -> None:
        with self._changed:
            if self._ended or self._finding or any(test.outcome is None for test in self._tests):
                return
            self._ended = True
            self._changed.notify_all()
        offered = ", ".join(
            f"{item.id}/{item.language} {item.version}" for item in self._toolchains.environments
        )
        logger.info("compilers: %s", offered or "none")


def _log_unavailable(unavailable: Unavailable) -> None:
    level = logging.WARNING if unavailable.installed else logging.DEBUG
    name = unavailable.compiler.replace("-{version}", "")
    logger.log(level, "compiler: %s (%s) is not offered: %s", name, unavailable.language, unavailable.reason)
    if unavailable.detail:
        logger.debug("compiler: %s (%s): %s", name, unavailable.language, unavailable.detail)


def _offered_by(test: _Test) -> tuple[str, str] | None:
    """Language and id of what a test that was passed offers."""
    passed = test.outcome
    return (test.language.id, passed.environment.id) if isinstance(passed, Passed) else None
