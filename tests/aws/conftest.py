"""An AWS for each test, a project to deploy, and the world with a container engine that is none."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.__main__ import main
from infra.context import Outside, Reply
from infra.stage import ROOT
from tests.aws.cloud import Cloud, cloud

STAGE = "test"


@dataclass
class Local:
    """An image of the engine."""

    id: str
    # As `docker inspect` has them; the size in bytes.
    attrs: dict[str, Any] = field(
        default_factory=lambda: {"Size": 3_210_000_000, "Os": "linux", "Architecture": "amd64"}
    )

    def tag(self, repository: str, tag: str) -> None:
        """As the Docker SDK."""


@dataclass
class Engine:
    """What the command uses of the Docker SDK; moto's ECR has no registry, but takes manifests."""

    outside: Outside
    built: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    refuses: str = ""

    @property
    def images(self) -> "Engine":
        """As the Docker SDK."""
        return self

    def get(self, name: str) -> Local:
        """As the Docker SDK: an image that is there."""
        return Local(f"sha256:{name.encode().hex():0<64}")

    def build(
        self, *, path: str, dockerfile: str, tag: str, rm: bool, platform: str
    ) -> tuple[Local, list[Any]]:
        """As the Docker SDK."""
        assert (Path(path) / dockerfile).is_file() and platform == "linux/amd64"
        self.built.append(tag)
        return self.get(tag), []

    def push(
        self, repository: str, *, tag: str, auth_config: dict[str, str], **_: Any
    ) -> Iterator[dict[str, str]]:
        """As the Docker SDK: the lines of a push; a refusal is a line, too."""
        assert auth_config["username"] == "AWS" and auth_config["password"]
        if self.refuses:
            yield {"error": self.refuses}
            return
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": f"sha256:{tag.encode().hex():0<64}"},
            "layers": [],
        }
        self.outside.client("ecr").put_image(
            repositoryName=repository.rpartition("/")[2], imageManifest=json.dumps(manifest), imageTag=tag
        )
        self.pushed.append(tag)
        yield {"status": "pushed"}


def verdicts(method: str, url: str, body: Any = None) -> Reply:
    """A service that works: the body's verdict by what it says."""
    assert (method, "/api/v1/compile" in url) == ("POST", True)
    good = "return 0" in body["source_code"]
    return Reply(200, {"job_id": "1", "verdict": "compiles" if good else "rejected"})


@dataclass
class Desk:
    """Somebody at a command line, with one project, one AWS and one engine."""

    cloud: Cloud
    project: Path
    capsys: pytest.CaptureFixture[str]
    http: Callable[..., Reply] = verdicts
    refuses_push: str = ""
    engines: list[Engine] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    attempts: int = 2
    python_version: tuple[int, int] = (3, 13)
    _worlds: dict[Any, Outside] = field(default_factory=dict)

    def outside(self, region: str | None) -> Outside:
        """The world: moto, no pauses, a Python that Lambda takes; always the same one."""
        key = (region, self.http, self.attempts, self.python_version, self.refuses_push, str(self.environ))
        if key not in self._worlds:
            self._worlds[key] = self._outside(region)
        return self._worlds[key]

    def _outside(self, region: str | None) -> Outside:

        def engine() -> Engine:
            self.engines.append(Engine(made, refuses=self.refuses_push))
            return self.engines[-1]

        made = Outside(
            environ={**self.cloud.environ, **self.environ},
            region=region,
            engine=engine,
            http=self.http,
            sleep=lambda _: None,
            python_version=self.python_version,
            poll_seconds=0.0,
            retries={"mode": "standard", "max_attempts": self.attempts},
        )
        return made

    def run(self, command: str, *more: str, stage: str = STAGE) -> tuple[int, str, str]:
        """The command's exit code, output and errors."""
        self.capsys.readouterr()
        code = main([command, "--stage", stage, *more], self.outside, self.project)
        return code, *self.capsys.readouterr()

    def client(self, service: str) -> Any:
        """A client of boto3."""
        return self.outside(None).client(service)

    def config(self) -> dict[str, Any]:
        """The stage's section of `.chalice/config.json`."""
        found: dict[str, Any] = json.loads((self.project / ".chalice" / "config.json").read_text())
        section: dict[str, Any] = found["stages"].get(STAGE, {})
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
    """A copy of what is deployed."""
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
def desk(project: Path, wheels_only: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """Everything, with nothing deployed."""
    with cloud() as made:
        yield Desk(made, project, capsys, environ=wheels_only)
