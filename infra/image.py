"""The runner's image in ECR: which one a stage uses, whether ECR has it, and how it gets there.

Its tag is a hash of the files that it is made from, or the id of a local image that `--image` names. So an
image that ECR has is neither built nor pushed again, and a tag never changes its content. For another file in
the image, add its name to `BUILD_CONTEXT`.
"""

import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.content_hash import content_hash, files_of
from infra.context import DeployContext
from infra.errors import AGAIN, DeployError
from infra.stage import ROOT, Stage

DOCKERFILE = "runner/Dockerfile"
# What the Dockerfile copies; the rest of the repository does not change the image.
BUILD_CONTEXT = (
    DOCKERFILE,
    "runner",
    "chalicelib",
    "requirements.txt",
    "requirements-runner.txt",
    "bin/fetch-compilers",
)
# The tests of a rehearsal, and what they are made from.
TESTS_DOCKERFILE = "infra/tests.Dockerfile"
TESTS_CONTEXT = (
    TESTS_DOCKERFILE,
    "requirements-dev.txt",
    "pyproject.toml",
    "app.py",
    "chalicelib",
    "runner",
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/contract",
    "tests/support",
)
# The processor of the tasks (RuntimePlatform in infra/templates/runners.yml), whatever machine builds.
PLATFORM = "linux/amd64"
# As `docker images` counts.
_BYTES_PER_GB = 1_000_000_000

_START_ENGINE = "start a container engine (Docker), or name an image that ECR has with --image"


@dataclass(frozen=True)
class Image:
    """An image in ECR; `uri` is its name in a task definition."""

    repository: str
    tag: str

    @property
    def uri(self) -> str:
        return f"{self.repository}:{self.tag}"


def source_tag(root: Path = ROOT) -> str:
    """The tag of the image that this checkout makes: the same content, the same tag."""
    return f"src-{content_hash(root, files_of(root, BUILD_CONTEXT))[:16]}"


def ensure(
    context: DeployContext, stage: Stage, repository: str, chosen: str | None, root: Path = ROOT
) -> Image:
    """The image of the stage in `repository` (a URI); builds and pushes it when ECR does not have it.

    `chosen` is the option `--image`: an image of the local engine, or one that the repository has already.
    """
    if chosen and chosen.startswith(f"{repository}:"):
        image = Image(repository, chosen.rpartition(":")[2])
        if not exists(context, stage, image):
            raise DeployError(f"ECR has no {chosen}", "see `aws ecr describe-images`, or leave --image out")
    elif chosen:
        with _engine(context) as engine:
            local = _local_image(engine, chosen)
            image = Image(repository, f"img-{local.id.rpartition(':')[2][:16]}")
            if not _is_in_ecr(context, stage, image):
                _push(context, engine, local, image)
    else:
        image = Image(repository, source_tag(root))
        if not _is_in_ecr(context, stage, image):
            with _engine(context) as engine:
                _push(context, engine, _build(context, engine, image, root), image)
    return image


def ensure_tests(context: DeployContext, stage: Stage, repository: str, root: Path = ROOT) -> Image:
    """The image with the tests, for the task of a rehearsal; built and pushed when ECR lacks it."""
    image = Image(repository, f"tests-{content_hash(root, files_of(root, TESTS_CONTEXT))[:16]}")
    if not _is_in_ecr(context, stage, image):
        # From a folder of their own: .dockerignore keeps tests out of the other images.
        with _engine(context) as engine, tempfile.TemporaryDirectory(prefix="will-it-compile-tests-") as name:
            for path in files_of(root, TESTS_CONTEXT):
                target = Path(name) / path.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
            _push(context, engine, _build(context, engine, image, Path(name), TESTS_DOCKERFILE), image)
    return image


def exists(context: DeployContext, stage: Stage, image: Image) -> bool:
    """Whether the stage's repository has the image."""
    return size_bytes(context, stage, image.tag) is not None


def size_bytes(context: DeployContext, stage: Stage, tag: str) -> int | None:
    """What a task would fetch of an image in the stage's repository; None when it is not there."""
    try:
        response = context.client("ecr").describe_images(
            repositoryName=stage.app, imageIds=[{"imageTag": tag}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            return None
        raise
    return int(response["imageDetails"][0].get("imageSizeInBytes", 0))


def _is_in_ecr(context: DeployContext, stage: Stage, image: Image) -> bool:
    if not exists(context, stage, image):
        return False
    context.say(f"  {image.tag} is in ECR already")
    return True


@contextmanager
def _engine(context: DeployContext) -> Iterator[Any]:
    from docker.errors import DockerException

    try:
        engine = context.engine()
    except DockerException as error:
        raise DeployError(f"no container engine answers: {error}", _START_ENGINE) from error
    try:
        yield engine
    finally:
        engine.close()


def _local_image(engine: Any, name: str) -> Any:
    from docker.errors import DockerException, ImageNotFound

    try:
        return engine.images.get(name)
    except ImageNotFound as error:
        raise DeployError(
            f"the container engine has no image {name}", "see `docker images`, or leave --image out"
        ) from error
    except DockerException as error:
        raise DeployError(f"the container engine fails: {error}", _START_ENGINE) from error


def _check_platform(local: Any) -> None:
    """Stops here; a task would need minutes to fail with `exec format error`."""
    platform = f"{local.attrs['Os']}/{local.attrs['Architecture']}"
    if platform != PLATFORM:
        raise DeployError(
            f"the image is for {platform}, and the runners are {PLATFORM}",
            f"build it with `docker build --platform {PLATFORM}`, then {AGAIN}",
        )


def _build(
    context: DeployContext, engine: Any, image: Image, root: Path, dockerfile: str = DOCKERFILE
) -> Any:
    from docker.errors import APIError, BuildError

    context.say(f"  building {image.tag}: ten minutes the first time, seconds when only code has changed")
    try:
        built, _ = engine.images.build(
            path=str(root), dockerfile=dockerfile, tag=image.uri, rm=True, platform=PLATFORM
        )
    except BuildError as error:
        last = [line["stream"].strip() for line in error.build_log if line.get("stream", "").strip()][-3:]
        raise DeployError(
            f"the image cannot be built: {error}; its last lines: {' / '.join(last)}"
        ) from error
    except APIError as error:
        raise DeployError(f"the image cannot be built: {error.explanation or error}") from error
    context.say(f"  built {image.tag}: {built.attrs['Size'] / _BYTES_PER_GB:.1f} GB")
    return built


def _push(context: DeployContext, engine: Any, local: Any, image: Image) -> None:
    from docker.errors import DockerException

    _check_platform(local)
    local.tag(image.repository, tag=image.tag)
    token = context.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    context.say(f"  pushing {image.uri}")
    try:
        for line in engine.images.push(
            image.repository,
            tag=image.tag,
            stream=True,
            decode=True,
            auth_config={"username": user, "password": password},
        ):
            if "error" in line:
                raise _push_error(str(line["error"]))
    except DockerException as error:
        raise _push_error(str(error)) from error


def _push_error(text: str) -> DeployError:
    return DeployError(
        f"ECR does not accept the image: {text}",
        "ask for ecr:InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, BatchCheckLayerAvailability "
        f"and PutImage on the repository, then {AGAIN}",
    )
