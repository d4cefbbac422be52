"""Builds a runner from its parts: sandbox, compilers, limits. The runner's half of the composition root.

`chalicelib/bootstrap.py` is the other half: it chooses the store.
"""

import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from chalicelib.catalog import load_catalog
from chalicelib.errors import SettingsError
from chalicelib.models import RunnerInfo, utc_now
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore
from runner.executor import JobExecutor
from runner.health import AliveFile
from runner.sandbox import choose_sandbox, sandboxes_with
from runner.sandbox.base import ImageSandbox, Limits, Sandbox, SandboxUnavailable
from runner.sandbox.limits import default_limits
from runner.task_protection import NoProtection, TaskProtection
from runner.toolchains.discover import find_toolchains, is_record_valid
from runner.toolchains.host_record import HostRecord, cache_folder
from runner.toolchains.images import find_in_images, sandboxes_by_image
from runner.toolchains.model import Toolchains
from runner.toolchains.self_tests import SelfTests
from runner.worker import Runner
from runner.workspace import remove_stale_workspaces, workspaces_folder

logger = logging.getLogger("will_it_compile.runner")


def limits_of(settings: Settings) -> Limits:
    """The limits of one compile, from the settings."""
    return default_limits(
        timeout_seconds=settings.compile_timeout_seconds,
        memory_mib=settings.compile_memory_mb,
        output_kib=settings.output_limit_kb,
    )


def open_sandbox(settings: Settings) -> Sandbox:
    """A sandbox that was tried and works. Raises `SandboxUnavailable`: without one nothing is compiled."""
    try:
        workspaces_folder()
    except OSError as error:
        raise SandboxUnavailable(f"there is no folder for the files of jobs: {error}") from None
    sandboxes = sandboxes_with(settings.runner_image, load_catalog().official_images)
    sandbox = choose_sandbox(settings.sandbox, sandboxes)
    logger.info("sandbox: %s (SANDBOX=%s)", sandbox.name, settings.sandbox)
    for weakness in sandbox.weaknesses:
        logger.warning("sandbox: weakness: %s", weakness)
    return sandbox


def start_self_tests(settings: Settings, sandbox: Sandbox, environ: Mapping[str, str]) -> SelfTests:
    """The self-tests of the installed compilers, running on threads.

    `environ` says where the user's cache is, in which they remember what passed.
    """
    catalog, limits = load_catalog(), limits_of(settings)
    tests = SelfTests()
    find = partial(
        find_toolchains,
        catalog,
        sandbox,
        limits,
        find_executable=sandbox.find_compiler,
        patterns=settings.compilers,
        image=settings.runner_image,
    )
    if isinstance(sandbox, ImageSandbox):
        logger.info("sandbox: images with compilers: %s", ", ".join(sandbox.images))
        tests.start_finding(partial(find_in_images, catalog, sandbox, limits, find, settings.compilers))
    elif is_record_valid(catalog, sandbox, limits, sandbox.find_compiler):
        # In an image, whose build has tested them: what is tested now is quick.
        tests.start_finding(find)
    else:
        tests.start(
            catalog,
            sandbox,
            limits,
            find_executable=sandbox.find_compiler,
            patterns=settings.compilers,
            image=settings.runner_image,
            record=HostRecord(cache_folder(environ), catalog, sandbox, limits, sandbox.find_compiler),
        )
    return tests


def check_offer(toolchains: Toolchains) -> None:
    """Raise `SettingsError` when all tests are over and no compiler is offered."""
    if not toolchains.environments:
        raise SettingsError(
            "no installed compiler passes its self-test and matches COMPILERS: "
            "install one, such as g++ or clang"
        )


def run_with_tests(runner: Runner, tests: SelfTests) -> None:
    """Run the runner, which offers each compiler when it has passed.

    Raises `SettingsError` when none of them passes, and what `Runner.run` raises.
    """

    def offer() -> None:
        runner.offer(tests.toolchains.environments, tests.untested())
        if tests.ended and not tests.toolchains.environments:
            runner.stop()

    tests.on_change = offer
    offer()
    try:
        runner.run()
    finally:
        tests.stop()
    if tests.ended:
        check_offer(tests.toolchains)


def open_protection(agent_uri: str) -> TaskProtection | NoProtection:
    """The protection of this task if ECS says how to reach its agent. The caller closes it."""
    if not agent_uri:
        return NoProtection()
    try:
        return TaskProtection(agent_uri)
    except ValueError as error:
        logger.warning("task protection: off, because ECS_AGENT_URI is wrong: %s", error)
        return NoProtection()


@contextlib.contextmanager
def open_alive_file(temporary: str) -> Iterator[Callable[[float], None]]:
    """Gives the function that touches the file which `python -m runner.health` checks."""
    try:
        file = AliveFile(temporary)
    except OSError as error:
        logger.warning(
            "health: cannot write the file that shows this runner is alive; health checks will fail: %s",
            error,
        )
        yield lambda _age_seconds: None
        return
    with contextlib.closing(file):
        yield file.touch


def build_runner(
    settings: Settings,
    store: JobStore,
    sandbox: Sandbox,
    tests: SelfTests,
    *,
    protection: TaskProtection | NoProtection | None = None,
    touch_alive: Callable[[float], None] | None = None,
) -> Runner:
    """A runner for `run_with_tests`; removes what a dead one left on this host."""
    removed = remove_stale_workspaces()
    if removed:
        logger.info("workspaces: removed %d left by a dead runner", removed)
    host = socket.gethostname()
    info = RunnerInfo(
        id=f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        host=host,
        started_at=utc_now(),
        max_workers=settings.workers_on(len(os.sched_getaffinity(0))),
        sandbox=sandbox.name,
        sandbox_weaknesses=tuple(sandbox.weaknesses),
    )
    executor = JobExecutor(
        sandbox, load_catalog(), tests, limits_of(settings), sandboxes=sandboxes_by_image(sandbox)
    )
    return Runner(
        store,
        executor.compile_claim,
        info,
        None,
        lease_seconds=settings.lease_seconds,
        stop_grace_seconds=settings.stop_grace_seconds,
        protection=protection,
        touch_alive=touch_alive,
    )
