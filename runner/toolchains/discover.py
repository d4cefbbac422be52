"""The self-tests of an image's compilers: run when it is built, and trusted by the runner that starts in it.

Testing all compilers takes a minute of two cores, and somebody waits for it when the service scales from
zero. So the build does it (`python -m runner.toolchains.discover PATTERN…`), and fails when a compiler
does, or when nothing matches a pattern (over ``language/id``). What passed is recorded (build_record.py).

A start takes the record's word when it fits, and then lets the newest compiler of each family compile its
good program, since hosts differ in what they can start. A family that fails is tested in full, and without a
record that fits all of them are: nothing is registered that has not passed.
"""

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from chalicelib.catalog import Catalog, load_catalog
from chalicelib.models import Environment
from runner.sandbox import choose_sandbox
from runner.sandbox.base import Limits, Sandbox, SandboxUnavailable
from runner.sandbox.limits import default_limits
from runner.sandbox.seccomp.filter import find_filter
from runner.toolchains.build_record import (
    RECORD,
    FindExecutable,
    RecordUnfit,
    check_record,
    make_record,
    read_record,
    write_record,
)
from runner.toolchains.model import Toolchains, is_wanted, left_out
from runner.toolchains.probe import PROBE_THREADS, probe_toolchains, prove

# The one that works in a build as on Fargate, where a start has to be quick. Not `auto`: a builder that
# allows namespaces would make a record that is of no use there.
_SANDBOX = "setpriv"

# The wall clock tells how busy a machine is and nothing of a compiler. A busy builder must not make an image
# that lacks a target for good, so it waits this many times as long as a job may take: ten minutes.
_PATIENCE = 5

logger = logging.getLogger("will_it_compile.runner")


def find_toolchains(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    *,
    find_executable: FindExecutable,
    wanted: Sequence[str] = ("*",),
    image: str = "",
    path: Path = RECORD,
) -> Toolchains:
    """As `probe_toolchains`, with the record in `path` in place of the tests where that can be trusted."""
    started = time.monotonic()
    probe = partial(
        probe_toolchains,
        catalog,
        sandbox,
        limits,
        find_executable=find_executable,
        wanted=wanted,
        image=image,
    )
    try:
        record = read_record(path)
        check_record(record, catalog, sandbox, limits, find_executable)
        recorded = record.toolchains(catalog)
    except RecordUnfit as unfit:
        logger.info("self-tests: every compiler is tested now: %s", unfit)
        return probe()
    offered = [each for each in recorded.environments if is_wanted(each.language, each.id, wanted)]
    failed = _failed_families(catalog, sandbox, limits, recorded, offered)
    kept = [each for each in offered if each.family not in failed]
    logger.info(
        "self-tests: the record of the build holds for %d compilers; one of each family was tried, in %.1f s",
        len(kept),
        time.monotonic() - started,
    )
    for family, reason in failed.items():
        logger.warning("self-tests: family %s is tested again: %s", family, reason)
    again = probe(families=failed) if failed else Toolchains(())
    return Toolchains(
        environments=(*(each.model_copy(update={"image": image}) for each in kept), *again.environments),
        unavailable=(
            *(
                left_out(each.language, each.id)
                for each in recorded.environments
                if each not in offered and each.family not in failed
            ),
            *again.unavailable,
        ),
        entries={**{(each.language, each.id): recorded.entry(each) for each in kept}, **again.entries},
    )


def _failed_families(
    catalog: Catalog, sandbox: Sandbox, limits: Limits, recorded: Toolchains, offered: Iterable[Environment]
) -> dict[str, str]:
    """The families whose newest compiler does not compile its good program now, with the reason."""
    newest: dict[str, Environment] = {}
    for each in offered:
        if each.family not in newest or each.version_key > newest[each.family].version_key:
            newest[each.family] = each

    def complaint(environment: Environment) -> str:
        return prove(catalog, sandbox, limits, environment, recorded.entry(environment))

    with ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="prove") as pool:
        complaints = list(pool.map(complaint, newest.values()))
    return {
        environment.family: f"{environment.id}: {text}"
        for environment, text in zip(newest.values(), complaints, strict=True)
        if text
    }


def run_self_tests(
    catalog: Catalog,
    sandbox: Sandbox,
    *,
    find_executable: FindExecutable,
    promised: Sequence[str] = (),
    path: Path = RECORD,
) -> tuple[tuple[str, ...], list[str]]:
    """Test every compiler; what passed, and what is wrong. Only when nothing is, the record is written."""
    limits = default_limits()
    patient = replace(limits, wall_seconds=limits.wall_seconds * _PATIENCE)
    toolchains = probe_toolchains(catalog, sandbox, patient, find_executable=find_executable)
    problems = [
        f"{each.compiler} ({each.language}) fails: {each.reason}"
        for each in toolchains.unavailable
        if each.installed
    ]
    problems += [
        f"no compiler is found for {pattern}: has the catalogue an entry for it?"
        for pattern in promised
        if not any(is_wanted(each.language, each.id, [pattern]) for each in toolchains.environments)
    ]
    if not problems:
        write_record(path, make_record(catalog, toolchains, sandbox, limits, find_executable))
    return tuple(f"{each.language}/{each.id}" for each in toolchains.environments), problems


def main(promised: Sequence[str]) -> int:
    """Test the compilers of the image that is being built; the exit code."""
    try:
        sandbox = choose_sandbox(_SANDBOX)
    except SandboxUnavailable as unavailable:
        return _say([str(unavailable)])
    # What the kernel lacks is said at each start, wherever that is. The filter is the image's own.
    incomplete = find_filter()[1]
    if incomplete:
        return _say(incomplete)
    passed, problems = run_self_tests(
        load_catalog(), sandbox, find_executable=sandbox.find_compiler, promised=promised
    )
    return _say([f"passed: {', '.join(passed)}"], code=0) if not problems else _say(problems)


def _say(lines: Iterable[str], code: int = 1) -> int:
    for line in lines:
        sys.stdout.write(f"self-tests: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
