"""Everything that a self-test depends on, in one list: its hash, the imports, what the build copies."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

from runner.toolchains.build_record import SOURCES, digest, sources
from tests.support.documents import table
from tests.support.servers.tools import ROOT


def test_the_hash_is_that_of_everything_a_test_depends_on(tmp_path: Path) -> None:
    """One more byte in any of the files changes the hash; Python's caches do not count."""
    for file in sources():
        copy = tmp_path / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    seen = {digest(tmp_path)}
    assert seen == {digest()}
    (tmp_path / "runner" / "sandbox" / "__pycache__").mkdir()
    (tmp_path / "runner" / "sandbox" / "__pycache__" / "base.pyc").write_bytes(b"x")
    assert digest(tmp_path) in seen
    for name in SOURCES:
        path = tmp_path / name
        file = path if path.is_file() else next(each for each in path.rglob("*.*") if each.suffix != ".pyc")
        file.write_bytes(file.read_bytes() + b"\n")
        assert digest(tmp_path) not in seen, name
        seen.add(digest(tmp_path))


def _imported(path: Path) -> set[Path]:
    """The files of this repository that a module imports, anywhere in it, with their packages."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                module = ROOT.joinpath(*parts[:end])
                candidates = (module.with_suffix(".py"), module / "__init__.py")
                imported |= {file for file in candidates if file.is_file()}
    return imported


def test_the_sources_are_what_the_tests_import() -> None:
    """Their Python files are exactly what runner/toolchains/discover.py imports, directly or not."""
    imported = set[Path]()
    new = {ROOT / "runner" / "toolchains" / "discover.py", ROOT / "runner" / "__init__.py"}
    while new:
        imported |= new
        new = {file for path in new for file in _imported(path)} - imported
    assert {path for path in sources() if path.suffix == ".py"} == imported


def test_the_sources_alone_can_be_imported(tmp_path: Path) -> None:
    """The build has no other files when it runs the tests."""
    for name in SOURCES:
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "import runner.toolchains.discover as it; print(it.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert Path(done.stdout.strip()) == tmp_path / "runner" / "toolchains" / "discover.py"


def test_the_build_copies_exactly_these_for_the_tests() -> None:
    """The stage `self-tests` of the Dockerfile copies `SOURCES`."""
    text = (ROOT / "runner" / "Dockerfile").read_text().replace("\\\n", " ")
    [stage] = re.findall(r"^FROM \S+ AS self-tests$(.*?)^FROM ", text, re.MULTILINE | re.DOTALL)
    copied = [line.split()[1:] for line in stage.splitlines() if line.startswith("COPY ")]
    assert {name for *names, _ in copied for name in names} == set(SOURCES)
    for *names, target in copied:
        assert {str(Path(name).parent) for name in names} == {target.rstrip("/")} or names == [target]


def _stages() -> list[str]:
    """The part before the Dockerfile's stages, then each stage; without comments."""
    lines = (ROOT / "runner" / "Dockerfile").read_text().splitlines()
    return re.split(
        r"^FROM ", "\n".join(line for line in lines if not line.startswith("#")), flags=re.MULTILINE
    )


def test_a_build_argument_is_declared_where_it_is_used() -> None:
    """An argument from before the stages is empty in each stage that does not name it."""
    before, *stages = _stages()
    shared = set(re.findall(r"^ARG (\w+)=", before, re.MULTILINE))
    assert shared
    for stage in stages:
        used = shared & set(re.findall(r"\$\{?(\w+)", stage))
        assert used == shared & set(re.findall(r"^ARG (\w+)$", stage, re.MULTILINE)), stage.splitlines()[0]


def test_every_build_argument_is_documented() -> None:
    """docs/deploy.md lists those that choose what is in the image."""
    arguments = {name for stage in _stages() for name in re.findall(r"^ARG (\w+)=.+$", stage, re.MULTILINE)}
    rows = table("docs/deploy.md", "build argument", "what it takes")
    assert {name.strip("` ") for row in rows for name in row[0].split(",")} == arguments
