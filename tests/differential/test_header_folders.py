"""Where headers are found: folders of files compared with the bare compilers of C and C++.

A generator makes folders in which the same header name is in several places: beside the source, in the top
folder, in include folders, and in the system. Every header of a request defines a number of its own, and the
source asks for a certain one, so a wrong choice changes the verdict. The reference is the bare command in a
folder with the same files. Only if it does not find a header may the top folder be added, behind everything
else that it searches.
"""

import random
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.models import Environment, Stage, Verdict
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.native_run import bare_command, bare_env
from tests.support.tiers import in_tier

# As many as the smallest machine that runs these tests has cores.
_THREADS = 2
# Enough that every combination of place, form and option comes up for each name.
_FOLDERS = 120
_FOLDERS_IN_THE_FAST_TIER = 30
# Names of the system and of nobody else, so that both outcomes of a search occur.
_NAMES = ("time.h", "string.h", "limits.h", "sys/types.h", "shapes.h", "lib/shapes.h")
_FOLDER_OPTIONS = ("-I", "-iquote", "-isystem", "-idirafter")
_NOT_FOUND = re.compile(r"error: .*(?:No such file or directory|file not found)")


@dataclass(frozen=True, slots=True)
class _Folder:
    """The files of one request."""

    files: dict[str, str]
    main: str
    options: tuple[str, ...]


def _folders(count: int) -> Iterator[_Folder]:
    """The same folders on every machine."""
    chance = random.Random(2028)
    for _ in range(count):
        name = chance.choice(_NAMES)
        main = chance.choice(["main.c", "src/main.c"])
        beside = main.rpartition("/")[0]
        places = sorted({place for place in ("", beside, "include", "more") if chance.random() < 0.5})
        files = {
            f"{place}/{name}".lstrip("/"): f"#undef FOUND\n#define FOUND {number}\n"
            for number, place in enumerate(places, start=1)
        }
        includes = [chance.choice(['#include "{}"', "#include <{}>"]).format(name) for _ in range(2)]
        # 0 is for the system's own header, which defines nothing of that name.
        expected = chance.randint(0, len(places))
        check = f"#ifndef FOUND\n#define FOUND 0\n#endif\n#if FOUND != {expected}\n#error another\n#endif\n"
        files[main] = "\n".join([*includes, check])
        options = [
            f"{chance.choice(_FOLDER_OPTIONS)}{place}"
            for place in ("include", "more", ".")
            if chance.random() < 0.3 and (place == "." or place in places)
        ]
        yield _Folder(files, main, tuple(options))


def _bare(real: RealCompilers, environment: Environment, folder: _Folder, parent: Path) -> bool:
    """Whether the bare compiler takes the main file, with the top folder last if a header is missing."""
    for name, text in folder.files.items():
        path = parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    command = [*bare_command(real.toolchains.entry(environment).command), "-fsyntax-only", *folder.options]
    for after in ([], ["-idirafter", "."]):
        run = subprocess.run(
            [*command, *after, folder.main],
            cwd=parent,
            env=bare_env(parent),
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        if run.returncode == 0 or not _NOT_FOUND.search(run.stderr):
            return run.returncode == 0
    return False


def _environments(real: RealCompilers) -> list[Environment]:
    """The newest gcc and the newest clang for C."""
    newest: dict[str, Environment] = {}
    for environment in sorted(real.toolchains.environments, key=lambda each: each.version_key):
        if environment.language == "c" and environment.family in ("gcc", "clang"):
            newest[environment.family] = environment
    return list(newest.values())


# The first test waits for the probe of all compilers.
@pytest.mark.timeout(600)
def test_a_header_is_the_one_that_the_bare_command_finds(tmp_path: Path) -> None:
    """The verdict of each folder is that of the bare command."""
    real = real_compilers()
    count = _FOLDERS_IN_THE_FAST_TIER if in_tier(fast=True, full=False) else _FOLDERS
    verdicts = []

    def problem(number: int, environment: Environment, folder: _Folder) -> str:
        parent = tmp_path / f"{environment.id}-{number}"
        parent.mkdir()
        expected = _bare(real, environment, folder, parent)
        request = real.request(
            environment, folder.files, folder.main, stage=Stage.SYNTAX, options=folder.options
        )
        result = real.executor.compile(f"headers-{number}", request)
        verdicts.append(result.verdict)
        if result.verdict is (Verdict.COMPILES if expected else Verdict.REJECTED):
            return ""
        return f"{result.verdict.value}, bare {expected}: {result.command} {folder}\n{result.stderr}"

    cases = [
        (number, environment, folder)
        for number, folder in enumerate(_folders(count))
        for environment in _environments(real)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        problems = [text for text in pool.map(lambda case: problem(*case), cases) if text]
    assert problems == []
    # Both verdicts occur, or the comparison would show nothing.
    assert set(verdicts) == {Verdict.COMPILES, Verdict.REJECTED}
    print(f"{len(cases)} folders, {verdicts.count(Verdict.COMPILES)} compile")
