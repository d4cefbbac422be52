"""The runner's image: which one is wanted, whether ECR has it, and how it gets there.

Its tag is a hash of what it is made from (or the id of an image that is given), so what is there already is
neither built nor pushed again, and a tag never changes its content. Another file in the image: one more line
in `CONTEXT`.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.context import Outside
from infra.errors import AGAIN, Problem
from infra.stage import ROOT, Stage

DOCKERFILE = "runner/Dockerfile"
# What the Dockerfile copies; the rest of the repository does not change the image.
CONTEXT = (
    DOCKERFILE,
    "runner",
    "chalicelib",
    "requirements.txt",
    "requirements-runner.txt",
    "bin/fetch-compilers",
)
# What the runners are (RuntimePlatform in infra/templates/runners.yml), whatever builds it.
PLATFORM = "linux/amd64"
# As `docker images` counts.
_BYTES_PER_GB = 1_000_000_000

_NO_ENGINE = "start a container engine (Docker), or give an image that ECR has with --image"


@dataclass(frozen=True)
class Image:
    """An image in ECR; `uri` is what a task definition names."""

    repository: str
    tag: str

    @property
    def uri(self) -> str:
        return f"{self.repository}:{self.tag}"


def source_tag(root: Path = ROOT) -> str:
    """The tag of the image that this checkout makes: the same content, the same tag."""
    digest = hashlib.sha256()
    for path in sorted(_files(root)):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_mode & 0o111}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"src-{digest.hexdigest()[:16]}"


def _files(root: Path) -> Iterable[Path]:
    for name in CONTEXT:
        path = root / name
        if path.is_file():
            yield path
        else:
            yield from (
                each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts
            )


def ensure(outside: Outside, stage: Stage, repository: str, given: str | None, root: Path = ROOT) -> Image:
    """The wanted image in `repository` (its URI); builds and pushes it when it is not there.

    `given` is an image of the local engine, or one of that repository that is there already.
    """
    if given and given.startswith(f"{repository}:"):
        image = Image(repository, given.rpartition(":")[2])
        if not is_there(outside, stage, image):
            raise Problem(f"ECR has no {given}", "see `aws ecr describe-images`, or leave --image out")
        return image
    engine: Any = None
    if given:
        engine = _engine(outside)
        image = Image(repository, f"img-{_local(engine, given).id.rpartition(':')[2][:16]}")
    else:
        image = Image(repository, source_tag(root))
    if is_there(outside, stage, image):
        outside.say(f"  {image.tag} is in ECR already")
        return image
    engine = engine or _engine(outside)
    local = _local(engine, given) if given else _build(outside, engine, image, root)
    _check_platform(local)
    local.tag(image.repository, tag=image.tag)
    _push(outside, engine, image)
    return image


def is_there(outside: Outside, stage: Stage, image: Image) -> bool:
    """Whether the stage's repository has the image."""
    try:
        outside.client("ecr").describe_images(repositoryName=stage.app, imageIds=[{"imageTag": image.tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return False
        raise
    return True


def _engine(outside: Outside) -> Any:
    from docker.errors import DockerException

    try:
        return outside.engine()
    except DockerException as error:
        raise Problem(f"no container engine answers: {error}", _NO_ENGINE) from error


def _local(engine: Any, name: str) -> Any:
    from docker.errors import DockerException, ImageNotFound

    try:
        return engine.images.get(name)
    except ImageNotFound as error:
        raise Problem(
            f"the engine has no image {name}", "see `docker images`, or leave --image out"
        ) from error
    except DockerException as error:
        raise Problem(f"the container engine fails: {error}", _NO_ENGINE) from error


def _check_platform(local: Any) -> None:
    """A task would take minutes to say `exec format error`."""
    found = f"{local.attrs['Os']}/{local.attrs['Architecture']}"
    if found != PLATFORM:
        raise Problem(
            f"the image is for {found}, and the runners are {PLATFORM}",
            f"build it with `docker build --platform {PLATFORM}`, then {AGAIN}",
        )


def _build(outside: Outside, engine: Any, image: Image, root: Path) -> Any:
    from docker.errors import APIError, BuildError

    outside.say(f"  building {image.tag}: ten minutes the first time, seconds when only code has changed")
    try:
        built, _ = engine.images.build(
            path=str(root), dockerfile=DOCKERFILE, tag=image.uri, rm=True, platform=PLATFORM
        )
    except BuildError as error:
        last = [line["stream"].strip() for line in error.build_log if line.get("stream", "").strip()][-3:]
        raise Problem(f"the image cannot be built: {error}; last: {' / '.join(last)}") from error
    except APIError as error:
        raise Problem(f"the image cannot be built: {error.explanation or error}") from error
    outside.say(f"  built {image.tag}: {built.attrs['Size'] / _BYTES_PER_GB:.1f} GB")
    return built


def _push(outside: Outside, engine: Any, image: Image) -> None:
    from docker.errors import DockerException

    token = outside.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    outside.say(f"  pushing {image.uri}")
    try:
        for line in engine.images.push(
            image.repository,
            tag=image.tag,
            stream=True,
            decode=True,
            auth_config={"username": user, "password": password},
        ):
            if "error" in line:
                raise Problem(_refused(str(line["error"])), _PUSH_RIGHT)
    except DockerException as error:
        raise Problem(_refused(str(error)), _PUSH_RIGHT) from error


_PUSH_RIGHT = (
    "ask for ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, BatchCheckLayerAvailability and "
    f"PutImage on the repository, then {AGAIN}"
)


def _refused(text: str) -> str:
    return f"ECR does not take the image: {text}"
