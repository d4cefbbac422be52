"""Load on the API while something breaks: which jobs were accepted, and how the API answered meanwhile."""

import threading
import time
from dataclasses import dataclass, field

from tests.support.processes import Caller

REQUEST = {"language": "c", "compiler": "gcc-12", "stage": "syntax"}


@dataclass
class Load:
    """Clients that submit until the `with` block ends, some 50 jobs a second in all."""

    api: Caller
    clients: int = 4
    accepted: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(self.clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            source = f"int f{client}_{number}(void) {{ return {number}; }}"
            try:
                reply = self.api.call("POST", "/api/v1/compile", REQUEST | {"source_code": source})
            except OSError as error:
                self.broken.append(repr(error))
                continue
            with self._lock:
                self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
                if reply.status == 202:
                    self.accepted.append(str(reply.json()["job_id"]))
            time.sleep(0.08)


@dataclass(frozen=True)
class Outcome:
    """How the accepted jobs ended, or did not."""

    ended: int
    lost: int
    hanging: tuple[str, ...]


def outcome(api: Caller, job_ids: list[str], *, seconds: float = 240) -> Outcome:
    """Asks the API for each job until it has ended or is unknown; jobs left at the deadline hang."""
    deadline = time.monotonic() + seconds
    waiting, ended, lost = list(job_ids), 0, 0
    while waiting and time.monotonic() < deadline:
        left = []
        for job_id in waiting:
            reply = api.call("GET", f"/api/v1/compile/{job_id}")
            assert reply.status in (200, 404, 503), (reply.status, reply.body)
            if reply.status == 404:
                lost += 1
            elif reply.status == 200 and "verdict" in reply.json():
                ended += 1
            else:
                left.append(job_id)
        waiting = left
        time.sleep(0.2)
    return Outcome(ended, lost, tuple(waiting))
