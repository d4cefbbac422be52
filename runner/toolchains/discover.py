"""The self-tests of an image's compilers: made when it is built, and trusted by a runner that starts in it.

Testing all compilers takes two cores a minute, and somebody waits for it when the service scales from
zero. So the build does it (`python -m runner.toolchains.discover PATTERN…`). The build fails if a compiler
fails, or if a pattern (for ``language/id``) matches none. The results are recorded (build_record.py).

If the record is valid, a runner that starts only lets the newest compiler of each family compile its good
program, because hosts differ in what they can start. A family that fails is tested completely. Without a
valid record all compilers are: nothing is registered that has not passed.
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
    RecordInvalid,
    check_record,
    make_record,
    read_record,
    write_record,
)
from runner.toolchains.model import Toolchains, excluded, matches
from runner.toolchains.probe import PROBE_THREADS, probe_toolchains, retest

# The sandbox that works in a build and on Fargate, where a start has to be quick. Not `auto`: a builder that
# allows namespaces would make a record that is useless there.
_SANDBOX = "setpriv"

# The wall clock depends on how busy a machine is, not on the compiler. A busy builder must not make an image
# that lacks a target forever, so the time limit of a job is multiplied by this: ten minutes.
_PATIENCE = 5

logger = logging.getLogger("will_it_compile.runner")


def find_toolchains(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    *,
    find_executable: FindExecutable,
    patterns: Sequence[str] = ("*",),
    image: str = "",
    path: Path = RECORD,
) -> Toolchains:
    """As `probe_toolchains`, but with the record in `path` instead of the tests if it can be trusted."""
    started = time.monotonic()
    probe = partial(
        probe_toolchains,
        catalog,
        sandbox,
        limits,
        find_executable=find_executable,
        patterns=patterns,
        image=image,
    )
    try:
        record = read_record(path)
        check_record(record, catalog, sandbox, limits, find_executable)
        recorded = record.toolchains(catalog)
    except RecordInvalid as invalid:
        logger.info("self-tests: testing every compiler now: %s", invalid)
        return probe()
    selected = [item for item in recorded.environments if matches(item.language, item.id, patterns)]
    failed = _failed_families(catalog, sandbox, limits, recorded, selected)
    kept = [item for item in selected if item.family not in failed]
    logger.info(
        "self-tests: the build's record is used for %d compilers; one of each family was tested, in %.1f s",
        len(kept),
        time.monotonic() - started,
    )
    for family, reason in failed.items():
        logger.warning("self-tests: testing the family %s completely: %s", family, reason)
    retested = probe(families=failed) if failed else Toolchains(())
    return Toolchains(
        environments=(*(item.model_copy(update={"image": image}) for item in kept), *retested.environments),
        unavailable=(
            *(
                excluded(item.language, item.id)
                for item in recorded.environments
                if item not in selected and item.family not in failed
            ),
            *retested.unavailable,
        ),
        entries={**{(item.language, item.id): recorded.entry(item) for item in kept}, **retested.entries},
    )


def is_record_valid(
    catalog: Catalog,
    sandbox: Sandbox,
    limits: Limits,
    find_executable: FindExecutable,
    path: Path = RECORD,
) -> bool:
    """Whether there is a record of a build that can be trusted here; the log says why one cannot."""
    try:
        check_record(read_record(path), catalog, sandbox, limits, find_executable)
    except RecordInvalid as invalid:
        level = logging.INFO if path.exists() else logging.DEBUG
        logger.log(level, "self-tests: testing every compiler now: %s", invalid)
        return False
    return True


def _failed_families(
    catalog: Catalog, sandbox: Sandbox, limits: Limits, recorded: Toolchains, selected: Iterable[Environment]
) -> dict[str, str]:
    """The families whose newest compiler does not compile its good program now, with the reason."""
    newest: dict[str, Environment] = {}
    for item in selected:
        if item.family not in newest or item.version_key > newest[item.family].version_key:
            newest[item.family] = item

    def problem_of(environment: Environment) -> str:
        return retest(catalog, sandbox, limits, environment, recorded.entry(environment))

    with ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="retest") as pool:
        problems = list(pool.map(problem_of, newest.values()))
    return {
        environment.family: f"{environment.id}: {problem}"
        for environment, problem in zip(newest.values(), problems, strict=True)
        if problem
    }


def run_self_tests(
    catalog: Catalog,
    sandbox: Sandbox,
    *,
    find_executable: FindExecutable,
    promised: Sequence[str] = (),
    path: Path = RECORD,
) -> tuple[tuple[str, ...], list[str]]:
    """Test all compilers; returns those that passed, and the problems. Without problems, write the record."""
    limits = default_limits()
    patient = replace(limits, wall_seconds=limits.wall_seconds * _PATIENCE)
    toolchains = probe_toolchains(catalog, sandbox, patient, find_executable=find_executable)
    problems = [
        f"{item.compiler} ({item.language}) fails: {item.reason}"
        for item in toolchains.unavailable
        if item.installed
    ]
    problems += [
        f"no compiler matches {pattern}: is it installed, and is it in the catalogue?"
        for pattern in promised
        if not any(matches(item.language, item.id, [pattern]) for item in toolchains.environments)
    ]
    if not problems:
        write_record(path, make_record(catalog, toolchains, sandbox, limits, find_executable))
    return tuple(f"{item.language}/{item.id}" for item in toolchains.environments), problems


def main(promised: Sequence[str]) -> int:
    """Test the compilers of the image that is being built; returns the exit code."""
    try:
        sandbox = choose_sandbox(_SANDBOX)
    except SandboxUnavailable as unavailable:
        return _print([str(unavailable)])
    # What a host's kernel lacks is logged at each start. The seccomp filter depends on the image alone.
    incomplete = find_filter()[1]
    if incomplete:
        return _print(incomplete)
    passed, problems = run_self_tests(
        load_catalog(), sandbox, find_executable=sandbox.find_compiler, promised=promised
    )
    return _print(problems) if problems else _print([f"passed: {', '.join(passed)}"], code=0)


def _print(lines: Iterable[str], code: int = 1) -> int:
    for line in lines:
        sys.stdout.write(f"self-tests: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
