"""Folders with a tsconfig.json: the verdict and the text are those of the bare `tsc -p .`."""

import itertools
import json
import subprocess
from pathlib import Path

import pytest

from chalicelib.api import compile_request
from chalicelib.models import Verdict
from runner.sanitize import clean_text
from runner.workspace import INSIDE
from tests.support.compilers import RealCompilers, real_compilers
from tests.support.native_run import bare_command, bare_env
from tests.support.skipping import missing
from tests.support.tiers import in_tier

_SOURCES = {
    "implicit any": {"main.ts": "export function twice(n) { return 2 * n; }\n"},
    "unused": {"main.ts": "export function f(): number {\n    const spare = 1;\n    return 2;\n}\n"},
    "null": {"src/main.ts": "export const n: string = Math.random() > 2 ? 'x' : null;\n"},
    "new library": {"main.ts": "export const last = [1, 2].at(-1);\nexport const x = [1].toSorted();\n"},
    "document": {"main.ts": "export const title: string = document.title;\n"},
    "modules": {
        "main.ts": 'import { n } from "./lib/n";\nexport const m = n;\n',
        "lib/n.ts": "export const n = 1;\n",
    },
    "jsx": {
        "main.tsx": "export const x = <b/>;\n",
        "jsx.d.ts": "declare namespace JSX { interface IntrinsicElements { b: {} } }\n",
    },
    "javascript": {"main.ts": "export {};\n", "old.js": "const n = 1;\nn = 2;\nmodule.exports = n;\n"},
    "two folders": {
        "src/main.ts": "export const n: number = 1;\n",
        "test/bad.ts": "export const n: number = 'x';\n",
    },
}
_CONFIGS: tuple[dict[str, object], ...] = (
    {},
    {"compilerOptions": {"strict": False}},
    {"compilerOptions": {"strict": False, "noImplicitAny": True, "noUnusedLocals": True}},
    {"compilerOptions": {"target": "es2020", "lib": ["es2020"], "jsx": "preserve"}},
    {"compilerOptions": {"module": "nodenext", "jsx": "react", "jsxFactory": "h"}},
    {"compilerOptions": {"allowJs": True, "checkJs": True, "outDir": "dist", "rootDir": "."}},
    {"compilerOptions": {"outDir": "dist"}, "include": ["src/**/*"]},
    {"compilerOptions": {"noEmit": True, "types": [], "strictNullChecks": False}, "exclude": ["test"]},
    {"compilerOptions": {"composite": True, "isolatedDeclarations": True, "jsx": "react-jsx"}},
    {"files": ["main.ts"], "compilerOptions": {"moduleResolution": "bundler", "module": "esnext"}},
)


def _problem(real: RealCompilers, config: dict[str, object], sources: dict[str, str], folder: Path) -> str:
    """How the service's answer differs from that of the bare command in a folder with the same files."""
    files = {**sources, "package.json": '{"type": "module"}\n', "tsconfig.json": json.dumps(config, indent=1)}
    body = json.dumps({"language": "typescript", "files": files}).encode()
    request = compile_request.resolve(compile_request.parse(body), real.catalog, real.toolchains.environments)
    result = real.executor.compile("tsconfig", request)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    assert result.command[1:3] == ("--pretty", "false")
    bare = subprocess.run(
        bare_command([result.command[0], "-p", ".", "--pretty", "false"]),
        cwd=folder,
        env=bare_env(folder),
        capture_output=True,
        check=False,
        timeout=60,
    )
    verdict = Verdict.REJECTED if bare.returncode else Verdict.COMPILES
    printed = clean_text(bare.stdout).replace(str(folder), INSIDE)
    if (result.verdict, result.stdout) == (verdict, printed):
        return ""
    return f"{config} {sources}: {result.verdict} {result.stdout} {result.error} is not {printed}"


@pytest.mark.timeout(600)
def test_a_folder_with_a_tsconfig_gets_the_answer_of_the_bare_command(tmp_path: Path) -> None:
    """Forty folders, each with other flags, files and sources."""
    real = real_compilers()
    if all(item.language != "typescript" for item in real.toolchains.environments):
        missing("no tsc here")
    pairs = list(itertools.product(_CONFIGS, _SOURCES.values()))
    problems = []
    for number, (config, sources) in enumerate(pairs[:: in_tier(fast=13, full=2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        problems.append(_problem(real, config, sources, folder))
    assert [problem for problem in problems if problem] == []
