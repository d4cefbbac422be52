"""What a job weighs beside others, in the sandboxes that share the kernel's scheduler with the runner."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from runner.sandbox.base import Sandbox
from runner.workspace import Workspace
from tests.sandbox.support import TIGHT, processes_named
from tests.support.servers.tools import wait_until


def _niceness(name: str) -> list[int]:
    found = []
    for pid in processes_named(name):
        try:
            found.append(os.getpriority(os.PRIO_PROCESS, pid))
        except ProcessLookupError:
            continue
    return found


def test_the_more_processes_a_job_has_the_less_each_weighs(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Eight that spin are slowed down within a second, all of them; one that spins is not."""
    name = f"wicnice{os.getpid() % 10**7}"
    for words, nice in ((["spin"], 0), (["spin-children", "8"], 12)):
        cancel = threading.Event()
        with workspace_with_probe() as workspace, ThreadPoolExecutor(1) as pool:
            os.rename(workspace.path / "probe", workspace.path / name)
            limits = replace(TIGHT, cpu_seconds=30)
            future = pool.submit(sandbox.run, [f"./{name}", *words], workspace, limits, cancel=cancel)
            try:
                wait_until(lambda: bool(_niceness(name)) and min(_niceness(name)) >= nice, "its weight")  # noqa: B023 -- called before the next round
                assert nice or set(_niceness(name)) == {0}
            finally:
                cancel.set()
                assert future.result(timeout=20).cancelled
