"""The deploy command for tests, with a simulated AWS, a project to deploy and a fake container engine."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.__main__ import main
from infra.context import DeployContext, Reply
from infra.stage import ROOT
from tests.aws.cloud import Cloud, cloud

STAGE = "test"


@dataclass
class LocalImage:
    """An image of the container engine."""

    id: str
    # As in `docker inspect`; the size in bytes.
    attrs: dict[str, Any] = field(
        default_factory=lambda: {"Size": 3_210_000_000, "Os": "linux", "Architecture": "amd64"}
    )

    def tag(self, repository: str, tag: str) -> None:
        """As in the Docker SDK."""


@dataclass
class FakeEngine:
    """What the command uses of the Docker SDK. moto's ECR has no registry, but accepts manifests."""

    context: DeployContext
    built: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    push_error: str = ""

    @property
    def images(self) -> "FakeEngine":
        """As in the Docker SDK."""
        return self

    def close(self) -> None:
        """As in the Docker SDK."""

    def get(self, name: str) -> LocalImage:
        """As in the Docker SDK: an image that exists."""
        return LocalImage(f"sha256:{name.encode().hex():0<64}")

    def build(
        self, *, path: str, dockerfile: str, tag: str, rm: bool, platform: str
    ) -> tuple[LocalImage, list[Any]]:
        """As in the Docker SDK."""
        assert (Path(path) / dockerfile).is_file() and platform == "linux/amd64"
        self.built.append(tag)
        return self.get(tag), []

    def push(
        self, repository: str, *, tag: str, auth_config: dict[str, str], **_: Any
    ) -> Iterator[dict[str, str]]:
        """As in the Docker SDK: the lines of a push; an error is a line too."""
        assert auth_config["username"] == "AWS" and auth_config["password"]
        if self.push_error:
            yield {"error": self.push_error}
            return
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": f"sha256:{tag.encode().hex():0<64}"},
            "layers": [],
        }
        self.context.client("ecr").put_image(
            repositoryName=repository.rpartition("/")[2], imageManifest=json.dumps(manifest), imageTag=tag
        )
        self.pushed.append(tag)
        yield {"status": "pushed"}


def working_service(method: str, url: str, body: Any = None) -> Reply:
    """A service that works: each of the two programs of the check gets its verdict."""
    assert (method, "/api/v1/compile" in url) == ("POST", True)
    compiles = "return 0" in body["source_code"]
    return Reply(200, {"job_id": "1", "verdict": "compiles" if compiles else "rejected"})


@dataclass
class Cli:
    """The command line of one project, with its AWS and its container engine."""

    cloud: Cloud
    project: Path
    capsys: pytest.CaptureFixture[str]
    http: Callable[..., Reply] = working_service
    push_error: str = ""
    engines: list[FakeEngine] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    attempts: int = 2
    python_version: tuple[int, int] = (3, 13)
    _contexts: dict[Any, DeployContext] = field(default_factory=dict)

    def context(self, region: str | None = None) -> DeployContext:
        """moto, no pauses, a Python that Lambda accepts; the same object while the fields are the same."""
        key = (region, self.http, self.attempts, self.python_version, self.push_error, str(self.env))
        if key not in self._contexts:
            self._contexts[key] = self._new_context(region)
        return self._contexts[key]

    def close(self) -> None:
        """Closes the connections of all contexts, so that none is left to the garbage collector."""
        for context in self._contexts.values():
            context.close()

    def _new_context(self, region: str | None) -> DeployContext:
        def engine() -> FakeEngine:
            self.engines.append(FakeEngine(context, push_error=self.push_error))
            return self.engines[-1]

        context = DeployContext(
            env={**self.cloud.env, **self.env},
            region=region,
            engine=engine,
            http=self.http,
            sleep=lambda _: None,
            python_version=self.python_version,
            poll_seconds=0.0,
            retries={"mode": "standard", "max_attempts": self.attempts},
        )
        return context

    def run(self, command: str, *more: str, stage: str = STAGE) -> tuple[int, str, str]:
        """Runs the command: its exit code, standard output and standard error."""
        self.capsys.readouterr()
        code = main([command, "--stage", stage, *more], self.context, self.project)
        return code, *self.capsys.readouterr()

    def succeed(self, command: str, *more: str, stage: str = STAGE) -> str:
        """Runs the command, which must succeed without a word on standard error: its standard output."""
        code, out, err = self.run(command, *more, stage=stage)
        assert (code, err) == (0, ""), out + err
        return out

    def client(self, service: str) -> Any:
        """A client of boto3."""
        return self.context().client(service)

    def config(self) -> dict[str, Any]:
        """The stage's section of `.chalice/config.json`."""
        config: dict[str, Any] = json.loads((self.project / ".chalice" / "config.json").read_text())
        section: dict[str, Any] = config["stages"].get(STAGE, {})
        return section


@pytest.fixture(scope="session")
def wheels_only() -> dict[str, str]:
    """pip takes the wheels that `bin/setup` has downloaded, so that packing needs no network."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(ROOT / ".wheels"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that are deployed."""
    root = tmp_path / "project"
    for name in (
        "app.py",
        "requirements.txt",
        "requirements-runner.txt",
        "bin/fetch-compilers",
        ".chalice/config.json",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, root / name)
    for name in ("chalicelib", "runner"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def cli(project: Path, wheels_only: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """The command, with nothing deployed."""
    with cloud() as aws:
        cli = Cli(aws, project, capsys, env=wheels_only)
        yield cli
        cli.close()
