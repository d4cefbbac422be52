"""The tables of mappings of a job's processes: what is known from looking at one of them at a time."""

from collections.abc import Mapping, Sequence

from runner.sandbox.mapping_tables import MappingTables
from runner.sandbox.procfs import Process


def _process(pid: int, parent: int) -> Process:
    return Process(
        pid=pid,
        parent=parent,
        zombie=False,
        started=1,
        own_ticks=0,
        children_ticks=0,
        threads=1,
        runnable=0,
        nice=0,
        descriptors=0,
        resident_bytes=0,
        peak_bytes=0,
    )


def _tables(counts: Mapping[int, int | None]) -> tuple[MappingTables, Sequence[Process]]:
    """A job whose first process, 1, is the parent of all others."""
    return MappingTables(counts.__getitem__), [_process(pid, 0 if pid == 1 else 1) for pid in counts]


def test_a_process_that_was_not_looked_at_counts_as_its_parent() -> None:
    """One look is enough to see what a thousand copies of a process cost."""
    tables, processes = _tables(dict.fromkeys(range(1, 1001), 60_000))
    one = tables.update(processes[:1])
    assert one > 10 * 2**20
    assert tables.update(processes) == 1000 * one


def test_an_ordinary_compiler_costs_next_to_nothing() -> None:
    """A driver, a compiler, an assembler and a linker have less than a megabyte of tables."""
    tables, processes = _tables(dict.fromkeys(range(1, 5), 300))
    assert 0 < tables.update(processes) < 2**20


def test_a_few_processes_may_hide_and_no_more() -> None:
    """Where nothing is known the first sixteen are free; a hundred count as if each had all that it may."""
    tables, processes = _tables(dict.fromkeys(range(1, 101), None))
    assert tables.update(processes[:16]) == 0
    assert tables.update(processes) > 2**30
