"""Requests while a runner that has just started tests its compilers: what they wait for, and what not."""

import threading
import time
from collections.abc import Sequence

import pytest

from chalicelib.catalog import load_catalog
from chalicelib.errors import InvalidRequest, NotReady
from chalicelib.models import Environment, UntestedCompiler
from chalicelib.registrations import Need
from chalicelib.storage.memory import MemoryStore
from tests.support.factories import make_environment, make_runner, make_settings
from tests.support.services import body_of, make_application


def _offered(*ids: str) -> list[Environment]:
    """Compilers for C++ by their ids; the version is in the id."""
    return [
        make_environment(
            id=item, family=item.rpartition("-")[0], version_key=(int(item.rpartition("-")[2]), 1, 0)
        )
        for item in ids
    ]


def _untested(*ids: str) -> list[UntestedCompiler]:
    """The same for compilers that are not tested yet; one with `{version}` has no known version."""
    items = []
    for item in ids:
        family, _, number = item.rpartition("-")
        known = (int(number),) if number.isdigit() else ()
        items.append(UntestedCompiler(id=item, language="cpp", family=family, version_key=known))
    return items


@pytest.mark.parametrize(
    ("names", "offered", "untested", "waits_for", "exists"),
    [
        # The newest of all: whatever may be newer than what is offered, the most useful test first.
        ([None], [], ["gcc-12", "clang-19"], ["clang-19", "gcc-12"], True),
        ([None], ["gcc-12"], ["gcc-11", "clang-19", "clang-13"], ["clang-19", "clang-13"], True),
        ([None], ["clang-19"], ["gcc-12", "clang-13"], [], True),
        ([None], ["clang-19"], ["gcc-12", "zig-cc-{version}"], ["zig-cc-{version}"], True),
        ([None], ["gcc-13"], ["clang-13"], ["clang-13"], True),
        ([None], [], [], [], False),
        # An id
        (["gcc-12"], ["gcc-12"], ["gcc-11", "clang-19"], [], True),
        (["GCC-12 "], [], ["gcc-12", "clang-19"], ["gcc-12"], True),
        (["gcc-99"], ["gcc-12"], ["gcc-11", "clang-19"], [], False),
        (["zig-cc-0.15"], ["gcc-12"], ["zig-cc-{version}", "clang-19"], ["zig-cc-{version}"], True),
        # A family: its newest
        (["gcc"], ["gcc-11"], ["gcc-12", "clang-19"], ["gcc-12"], True),
        (["gcc"], ["gcc-12"], ["gcc-11", "clang-19"], [], True),
        (["zig"], ["gcc-12"], ["clang-19"], [], False),
        # Globs of a matrix: all of them
        (["gcc-*"], ["gcc-11"], ["gcc-12", "clang-19", "gcc-13"], ["gcc-13", "gcc-12"], True),
        (["all"], ["gcc-11"], ["gcc-12", "clang-19"], ["clang-19", "gcc-12"], True),
        (["gcc-*", "msvc-*"], ["gcc-11"], ["clang-19"], [], False),
        (["gcc-11", "clang-19"], ["gcc-11"], ["gcc-12", "clang-19"], ["clang-19"], True),
        # Another runner offers it already
        (["gcc-12"], ["gcc-12"], ["gcc-12"], [], True),
        (["zig-cc"], ["zig-cc-15"], ["zig-cc-{version}"], [], True),
    ],
)
def test_a_request_waits_for_what_can_change_its_answer(
    names: Sequence[str | None],
    offered: Sequence[str],
    untested: Sequence[str],
    waits_for: Sequence[str],
    exists: bool,
) -> None:
    """And for nothing else; a name that means no compiler at all is known at once."""
    need = Need.of(load_catalog(), "C++", names)
    items, all_exist = need.untested(_offered(*offered), _untested(*untested))
    assert ([item.id for item in items], all_exist) == (waits_for, exists)


def test_other_languages_do_not_count() -> None:
    """A request for C++ does not wait for a compiler of C."""
    [gcc] = _untested("gcc-12")
    of_c = gcc.model_copy(update={"language": "c"})
    assert Need.of(load_catalog(), "cpp", [None]).untested(_offered("gcc-11"), [of_c]) == ([], True)
    assert Need.of(load_catalog(), "none", [None]).untested(_offered("gcc-11"), [gcc]) == ([], False)


class _Runner:
    """A runner in this process that tests what is preferred, one compiler at each call."""

    def __init__(self, store: MemoryStore, *untested: str) -> None:
        self.store, self.info = store, make_runner()
        self.untested = _untested(*untested)
        self.offered: list[Environment] = []
        self.preferred: list[str] = []
        self.register()

    def register(self) -> None:
        info = self.info.model_copy(update={"untested": tuple(self.untested)})
        self.store.register(info, self.offered, ttl_seconds=60)

    def prefer(self, items: Sequence[UntestedCompiler]) -> None:
        for item in items[:1]:
            self.preferred.append(item.id)
            self.untested.remove(item)
            self.offered += _offered(item.id)
            self.register()


def test_a_submit_has_its_compiler_tested_first() -> None:
    """It is submitted as soon as the one that it needs has passed, for that compiler."""
    store = MemoryStore(make_settings())
    application = make_application(store, patience_seconds=30)
    runner = _Runner(store, "gcc-11", "gcc-12", "clang-19", "clang-18")
    application.environments.prefer = runner.prefer
    assert application.service.submit(body_of()).body["status"] == "queued"
    assert runner.preferred == ["clang-19"]
    application.service.submit(body_of(compiler="gcc-11"))
    application.matrices.submit(body_of(compilers=["clang-*"]))
    assert runner.preferred == ["clang-19", "gcc-11", "clang-18"]
    claims = [store.claim("runner", 0.0) for _ in range(2)]
    assert [claim and claim.job.request.compiler for claim in claims] == ["clang-19", "gcc-11"]


@pytest.mark.parametrize("fields", [{"compiler": "gcc-99"}, {"language": "cobol"}, {"language": "rust"}])
def test_what_does_not_exist_is_invalid_at_once(fields: dict[str, str]) -> None:
    """Also before any test is over; what is named instead are the compilers that are being tested, too."""
    store = MemoryStore(make_settings())
    application = make_application(store, patience_seconds=30)
    _Runner(store, "gcc-11", "clang-19", "zig-cc-{version}")
    started = time.monotonic()
    with pytest.raises(InvalidRequest) as failure:
        application.service.submit(body_of(**fields))
    assert time.monotonic() - started < 15
    if "compiler" in fields:
        assert "available are clang-19, gcc-11, zig-cc." in failure.value.message
        with pytest.raises(InvalidRequest, match=r"available are clang-19, gcc-11, zig-cc\."):
            application.matrices.submit(body_of(compilers=["gcc-99"]))
    else:
        assert "available are cpp." in failure.value.message


def test_a_test_that_takes_too_long_is_named() -> None:
    """After the wait the error says which compiler is not tested yet; the client may try again."""
    store = MemoryStore(make_settings())
    application = make_application(store, patience_seconds=0.0)
    _Runner(store, "gcc-11", "clang-19")
    with pytest.raises(NotReady, match="clang-19 is still being tested"):
        application.service.submit(body_of())


def test_the_wait_of_the_client_is_used() -> None:
    """A client that waits longer than our patience gets its answer."""
    store = MemoryStore(make_settings())
    application = make_application(store, patience_seconds=0.0)
    runner = _Runner(store, "clang-19")
    timer = threading.Timer(0.2, lambda: runner.prefer(list(runner.untested)))
    timer.start()
    assert application.service.submit(body_of(), wait_seconds=1.5).body["status"] == "queued"
    timer.join()


def test_a_service_without_a_compiler_is_not_ready() -> None:
    """A runner that has registered, and of whose compilers none has passed yet, compiles nothing."""
    store = MemoryStore(make_settings())
    application = make_application(store)
    runner = _Runner(store, "clang-19")
    with pytest.raises(NotReady, match="still testing"):
        application.service.ready()
    runner.prefer(list(runner.untested))
    assert application.service.ready()["status"] == "ready"
