"""Neighbours that print what is slowest to read: the API answers and an honest job gets its verdict as ever.

Patterns hold the interpreter while they search, so one job's output could freeze every other job, the leases
and the health check of a process. Here every other worker reads such output, one job after the other, in the
process that also serves the API.
"""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.support.processes import ApiProcess

# One worker for the honest job, and two that always read hostile output.
_NEIGHBOURS = 2
# Together with the repetition of the source in the message, more than the limit on output.
_PRINTED_BYTES = 262_144
_ROUNDS = 12
# Words of the parsers and patterns of gcc and clang, in the forms that used to be quadratic, and their like.
_WORST = (
    "ld: ", "a:1:", "main.c:1:1: error: ", 'fix-it:"main.c":{1:1-1:2}:', "/a-", "((", "ld-ld-", "\\", "` ' ",
    "cc1: error: ", "/tmp/x.o: ", "  inlined from ", "main.c:1:1:   required from ", "Cannot allocate memory",
)  # fmt: skip
_PROSE = ("the quick brown fox ", "jumps over the lazy dog ")
_HONEST = '#include <stdio.h>\nint main(void) { return puts("hello"); }\n'
# Twice, as for any other neighbour; the shortest times are too small to compare.
_FACTOR = 2
_NOISE_SECONDS = 0.5


def _sources(units: Sequence[str]) -> Iterator[str]:
    """Programs that make the compiler print each unit again and again, on one line and on many."""
    for unit in units:
        yield f"#error {unit * (_PRINTED_BYTES // len(unit))}\n"
        line = f"#error {unit * (2_000 // len(unit))}\n"
        yield line * (_PRINTED_BYTES // len(line))


def _measure(api: ApiProcess, units: Sequence[str]) -> tuple[float, float]:
    """Beside neighbours that print `units`: the slowest /ready, and the median time of an honest job."""
    over = threading.Event()
    running = threading.Semaphore(0)

    def keep_busy(number: int) -> None:
        sources = list(_sources(units))[number::_NEIGHBOURS]
        while not over.is_set():
            for source in sources:
                running.release()
                _compile(api, source)
                if over.is_set():
                    return

    threads = [threading.Thread(target=keep_busy, args=(number,)) for number in range(_NEIGHBOURS)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            running.acquire()
        ready, honest = [], []
        for _ in range(_ROUNDS):
            started = time.monotonic()
            assert api.call("GET", "/ready").status == 200
            ready.append(time.monotonic() - started)
            started = time.monotonic()
            assert _compile(api, _HONEST) == "compiles"
            honest.append(time.monotonic() - started)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    return max(ready), statistics.median(honest)


def _compile(api: ApiProcess, source: str) -> str:
    body = {"language": "c", "source_code": source}
    result = api.call("POST", "/api/v1/compile?wait=25", body).json()
    return str(result.get("verdict", result))


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_output_that_is_slow_to_read_delays_nobody_else() -> None:
    """/ready and an honest job take no longer beside it than beside neighbours who print as much prose."""
    with ApiProcess({"MAX_WORKERS": str(_NEIGHBOURS + 1), "COMPILERS": "gcc-12"}) as api:
        _compile(api, _HONEST)  # the first waits for the compiler's self-test
        ready_beside_prose, honest_beside_prose = _measure(api, _PROSE)
        ready, honest = _measure(api, _WORST)
    print(
        f"/ready at most {ready:.3f} s (beside prose {ready_beside_prose:.3f}), "
        f"an honest job {honest:.3f} s (beside prose {honest_beside_prose:.3f})"
    )
    assert ready <= max(_FACTOR * ready_beside_prose, _NOISE_SECONDS)
    assert honest <= max(_FACTOR * honest_beside_prose, _NOISE_SECONDS)
