"""What happens when a compiler version is added to the catalogue: one entry, and a program of that name.

    python -m tests.support.added_compiler NAME LIKE

adds the compiler NAME to the C compilers of the catalogue, with everything but its name as it is for LIKE,
looks what is offered, and compiles a good and a bad program as a client would ask for it. It prints what came
of that as JSON. As a command of its own it can run where NAME is there and the host is left alone.
"""

import json
import sys

from chalicelib.api import compile_request
from chalicelib.catalog import Catalog, parse_catalog
from chalicelib.catalog.loader import catalog_texts
from runner.executor import JobExecutor
from runner.sandbox import choose_sandbox
from runner.sandbox.host_paths import find_compiler
from runner.sandbox.limits import default_limits
from runner.toolchains.probe import probe_toolchains

_PROGRAMS = {
    "good": "int main(void) { return 0; }\n",
    "bad": "int main(void) {\n    return undeclared_name;\n}\n",
}


def catalog_with(name: str, like: str) -> Catalog:
    """The catalogue with one more entry, written as a person would: a copy of its neighbour."""
    texts = catalog_texts()
    language = texts.languages["c.toml"]
    start = language.index(f'[[compilers]]\nid = "{like}"\n')
    end = language.find("[[compilers]]", start + 1)
    entry = language[start : end if end > 0 else None].replace(f'"{like}"', f'"{name}"')
    return parse_catalog({**texts.languages, "c.toml": f"{language}\n{entry}"}, texts.families)


def main(name: str, like: str) -> None:
    """Prints the environments of `name` and the results of both programs."""
    catalog, sandbox, limits = catalog_with(name, like), choose_sandbox("auto"), default_limits()
    toolchains = probe_toolchains(
        catalog, sandbox, limits, find_executable=find_compiler, patterns=(name, f"c/{like}")
    )
    compiler = JobExecutor(sandbox, catalog, toolchains, limits)
    results = {}
    for which, source in _PROGRAMS.items():
        # No compiler is asked for: the newest one is taken.
        asked = compile_request.ClientRequest(source_code=source, language="c", standard="c17")
        request = compile_request.resolve(asked, catalog, toolchains.environments)
        results[which] = compiler.compile(which, request).model_dump(mode="json")
    environments = [each.model_dump(mode="json") for each in toolchains.environments]
    sys.stdout.write(json.dumps({"environments": environments, "results": results}))


if __name__ == "__main__":
    main(*sys.argv[1:])
