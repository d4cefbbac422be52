"""What the runner's image consists of, as a CycloneDX 1.5 document on standard output.

    python -m tools.bill_of_materials will-it-compile-runner > sbom.json

It asks the image itself: Debian's package database, the Python packages of /opt/venv, and the compilers that
come from other registries (bin/fetch-compilers). Scanners read such a document and name what has known
weaknesses. The container that answers has no network and is removed.
"""

import argparse
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# https://github.com/package-url/purl-spec: the form of `purl`.
_DPKG = ["dpkg-query", "-W", "-f", r"${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\n"]
_PYTHON = [
    "/opt/venv/bin/python",
    "-c",
    "import importlib.metadata as m; [print(d.name, d.version, sep='\\t') for d in m.distributions()]",
]
_FETCH = Path(__file__).resolve().parent.parent / "bin" / "fetch-compilers"
_TIMEOUT_SECONDS = 120

Run = Callable[[Sequence[str]], str]


def document(image: str, digest: str, run: Run) -> dict[str, Any]:
    """The document for an image; `run` runs a command in it and returns what it prints."""
    components = [*_debian(run(_DPKG)), *_python(run(_PYTHON)), *_fetched(_FETCH.read_text())]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same image gives the same document.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{image}@{digest}')}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image, "version": digest}},
        "components": sorted(components, key=lambda item: str(item["purl"])),
    }


def _component(kind: str, name: str, version: str) -> dict[str, Any]:
    return {"type": kind, "name": name, "version": version}


def _debian(printed: str) -> list[dict[str, Any]]:
    components = []
    for line in printed.splitlines():
        name, version, architecture, source = line.split("\t")
        name = name.partition(":")[0]
        # Debian's advisories name the source package.
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}"
        properties = [{"name": "debian:source", "value": source}]
        components.append(_component("library", name, version) | {"purl": purl, "properties": properties})
    return components


def _python(printed: str) -> list[dict[str, Any]]:
    components = []
    for line in printed.splitlines():
        name, version = line.split("\t")
        normal = re.sub(r"[-_.]+", "-", name).lower()
        components.append(_component("library", name, version) | {"purl": f"pkg:pypi/{normal}@{version}"})
    return components


def _fetched(script: str) -> list[dict[str, Any]]:
    versions = dict(re.findall(r"(?m)^(ZIG|TSC)=(\S+)$", script))
    purls = {"ZIG": "pkg:pypi/ziglang@{}", "TSC": "pkg:npm/%40typescript/typescript-linux-x64@{}"}
    return [
        _component("application", name.lower(), versions[name]) | {"purl": purl.format(versions[name])}
        for name, purl in purls.items()
    ]


def _docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=_TIMEOUT_SECONDS
    ).stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the document of an image. Exit code 1, with a sentence, if the engine or the image is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bill_of_materials", description=__doc__.split("\n")[0]
    )
    parser.add_argument("image", help="an image of runner/Dockerfile that the local engine has")
    image = parser.parse_args(arguments).image

    def run(command: Sequence[str]) -> str:
        executable, *rest = command
        return _docker("run", "--rm", "--network", "none", "--entrypoint", executable, image, *rest)

    try:
        digest = _docker("image", "inspect", "--format", "{{.Id}}", image).strip()
        sys.stdout.write(json.dumps(document(image, digest, run), indent=2) + "\n")
    except FileNotFoundError:
        sys.stderr.write("bill_of_materials: there is no `docker` here\n")
        return 1
    except subprocess.SubprocessError as error:
        reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]
        sys.stderr.write(f"bill_of_materials: {image}: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
