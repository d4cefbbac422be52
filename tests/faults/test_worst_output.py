"""Neighbours that print what is slowest to read: the API answers and an honest job gets its verdict as ever.

Patterns hold the interpreter while they search, so one job's output could freeze every other job, the leases
and the health check of a process. Here every other worker reads such output, one job after the other, in the
process that also serves the API.
"""

import statistics
import threading
import time
from collections.abc import Sequence

import pytest

from tests.support.processes import ApiProcess

# One worker for the honest job, and two that always read hostile output.
_NEIGHBOURS = 2
# Less than the limit on output, so that all of it is read: gcc prints the first line of the source as well.
_PRINTED_BYTES = 100_000
_ROUNDS = 12
# Lines of the forms that used to take quadratic time, and their like: the start, and what goes on for ever.
_WORST = (
    ("ld: ", ": out of memory"),
    ("ld: ", "main.o: undefined reference to "),
    ("/usr/bin/ld: ", ": Cannot allocate memory: "),
    ("cc1plus: error: ", ": Cannot allocate memory: "),
    ("/tmp/x.s: Fatal error: ", "can't close: "),
    ("main.cpp:1:1: error: ", "x: Cannot allocate memory"),
    ("main.cpp:1:1: ", "a:1: "),
    ('fix-it:"', 'main.cpp":{1:1-1:2}:"'),
    ("", "a/-"),
    ("", "(("),
    ("In file included from ", "main.cpp:1:1:, from "),
    ("collect2: ", "error: ld returned 1 exit status "),
)
_PROSE = (("The ", "quick brown fox jumps over "), ("", "the lazy dog "))
_HONEST = '#include <stdio.h>\nint main(void) { return puts("hello"); }\n'
# Twice, as for any other neighbour; the shortest times are too small to compare.
_FACTOR = 2
_NOISE_SECONDS = 0.5


def _source(start: str, endless: str) -> str:
    """A program that makes the compiler print a line of its author's choice."""
    parts = (f"\\n{start}", *[endless * 40] * (_PRINTED_BYTES // (40 * len(endless))), "x")
    literals = ['"' + part.replace('"', '\\"') + '"' for part in parts]
    return "static_assert(false,\n" + "\n".join(literals) + ");\n"


def _measure(api: ApiProcess, lines: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """Beside neighbours that print `lines`: the slowest /ready, and the median time of an honest job."""
    over = threading.Event()
    running = threading.Semaphore(0)

    def keep_busy(number: int) -> None:
        sources = [_source(*line) for line in lines][number::_NEIGHBOURS]
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
    body = {"language": "cpp", "source_code": source}
    result = api.call("POST", "/api/v1/compile?wait=25", body).json()
    return str(result.get("verdict", result))


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_output_that_is_slow_to_read_delays_nobody_else() -> None:
    """/ready and an honest job take no longer beside it than beside neighbours who print as much prose."""
    with ApiProcess({"MAX_WORKERS": str(_NEIGHBOURS + 1), "COMPILERS": "cpp/gcc-*"}) as api:
        _compile(api, _HONEST)  # the first waits for the compiler's self-test
        ready_beside_prose, honest_beside_prose = _measure(api, _PROSE)
        ready, honest = _measure(api, _WORST)
    print(
        f"/ready at most {ready:.3f} s (beside prose {ready_beside_prose:.3f}), "
        f"an honest job {honest:.3f} s (beside prose {honest_beside_prose:.3f})"
    )
    assert ready <= max(_FACTOR * ready_beside_prose, _NOISE_SECONDS)
    assert honest <= max(_FACTOR * honest_beside_prose, _NOISE_SECONDS)
