"""Adds a compiler version to the catalogue: one entry, and a program with that name.

    python -m tests.support.added_compiler NAME LIKE

adds the compiler NAME to the C compilers of the catalogue as a copy of LIKE, probes both, and compiles a good
and a bad program as a client would request it. It prints the outcome as JSON. It is a command so that it can
run in a mount namespace in which NAME exists, without a change to the host.
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
    """The catalogue with one more entry, written as a person would do it: a copy of its neighbour."""
    texts = catalog_texts()
    language = texts.languages["c.toml"]
    start = language.index(f'[[compilers]]\nid = "{like}"\n')
    end = language.find("[[compilers]]", start + 1)
    entry = language[start : end if end > 0 else None].replace(f'"{like}"', f'"{name}"')
    return parse_catalog({**texts.languages, "c.toml": f"{language}\n{entry}"}, texts.families)


def main(name: str, like: str) -> None:
    """Print the environments and the results of both programs."""
    catalog, sandbox, limits = catalog_with(name, like), choose_sandbox("auto"), default_limits()
    toolchains = probe_toolchains(
        catalog, sandbox, limits, find_executable=find_compiler, patterns=(name, f"c/{like}")
    )
    executor = JobExecutor(sandbox, catalog, toolchains, limits)
    results = {}
    for program, source in _PROGRAMS.items():
        # A request without a compiler gets the newest one.
        body = compile_request.ClientRequest(source_code=source, language="c", standard="c17")
        request = compile_request.resolve(body, catalog, toolchains.environments)
        results[program] = executor.compile(program, request).model_dump(mode="json")
    environments = [item.model_dump(mode="json") for item in toolchains.environments]
    sys.stdout.write(json.dumps({"environments": environments, "results": results}))


if __name__ == "__main__":
    main(*sys.argv[1:])
