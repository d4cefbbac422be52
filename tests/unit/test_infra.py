"""The parts of the deploy command that need no AWS: names, tags, sections, sentences."""

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from botocore.exceptions import ClientError
from docker.errors import DockerException

from infra import __main__ as command
from infra import chalice_deploy, image
from infra.context import Outside
from infra.errors import Problem, WrongUse, step
from infra.stage import ROOT, Stage, read_stage
from tests.support.documents import table, text_of
from tools.capacity.recommend import RECOMMENDED

PAGE = "docs/deploy.md"
OUTPUTS = {
    "FunctionRoleArn": "arn:aws:iam::1:role/f",
    "SubnetIds": "subnet-a,subnet-b",
    "FunctionGroupId": "sg-f",
    "RedisAddress": "cache.example:6379",
    "RedisMode": "cluster",
    "RedisUsername": "wic",
}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A small build context."""
    for name in image.CONTEXT:
        path = tmp_path / name
        if (ROOT / name).is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        else:
            (path / "deeper").mkdir(parents=True, exist_ok=True)
            (path / "deeper" / "module.py").write_text("1\n")
    return tmp_path


def test_the_tag_is_that_of_the_content(context: Path) -> None:
    """The same files give the same tag anywhere; caches do not count, content and modes do."""
    first = image.source_tag(context)
    assert re.fullmatch(r"src-[0-9a-f]{16}", first)
    (context / "runner" / "__pycache__").mkdir()
    (context / "runner" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert image.source_tag(context) == first
    copy = context.with_name("copy")
    shutil.copytree(context, copy)
    assert image.source_tag(copy) == first
    (context / "bin" / "fetch-compilers").chmod(0o755)
    second = image.source_tag(context)
    (context / "chalicelib" / "deeper" / "module.py").write_text("2\n")
    assert len({first, second, image.source_tag(context)}) == 3


def test_the_tag_covers_what_the_dockerfile_copies() -> None:
    """Whatever the Dockerfile copies out of the repository is part of the hash."""
    copied = set()
    for line in (ROOT / image.DOCKERFILE).read_text().replace("\\\n", " ").splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            copied |= set(line.split()[1:-1])
    outside = {name for name in copied if name.startswith(".setup/")}  # downloads of pinned versions
    covered = {name for name in copied if any(f"{name}/".startswith(f"{each}/") for each in image.CONTEXT)}
    assert covered and copied - outside == covered


class NoEngine:
    """A machine without a container engine."""

    def __call__(self) -> Any:
        raise DockerException("Error while fetching server API version")


def test_a_machine_without_an_engine_is_told_what_to_do() -> None:
    """The problem names the engine, and the remedy the way around it."""
    world = Outside(environ={}, engine=NoEngine())
    with pytest.raises(Problem) as caught, step("image"):
        image.ensure(world, Stage("test"), "1.dkr.ecr/x", "some:image")
    assert caught.value.step == "image"
    assert "no container engine answers" in caught.value.why and "--image" in caught.value.remedy


class ForArm:
    """An engine whose images are for another processor."""

    id = "sha256:1"
    attrs: ClassVar[dict[str, str]] = {"Os": "linux", "Architecture": "arm64"}

    @property
    def images(self) -> "ForArm":
        """As the Docker SDK."""
        return self

    def get(self, _name: str) -> "ForArm":
        """As the Docker SDK."""
        return self


class EmptyRegistry:
    """A world with such an engine, whose ECR has nothing."""

    engine = ForArm

    def client(self, service: str) -> "EmptyRegistry":
        """An ECR that says so."""
        assert service == "ecr"
        return self

    def describe_images(self, **_: Any) -> None:
        """None there."""
        raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": ""}}, "DescribeImages")


def test_an_image_for_another_processor_is_not_pushed() -> None:
    """What a task could not start is refused here, with the option that builds the right one."""
    with pytest.raises(Problem) as caught:
        image.ensure(cast(Outside, EmptyRegistry()), Stage("test"), "1.dkr.ecr/x", "some:image")
    assert "the image is for linux/arm64" in caught.value.why
    assert "--platform linux/amd64" in caught.value.remedy


def test_a_settings_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are one message, as bad TOML is."""
    path = tmp_path / "stage.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUse, match=r"stage\.toml cannot be read"):
        read_stage("test", path)


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_broken_chalice_config_is_one_message(tmp_path: Path, text: str | None) -> None:
    """A `.chalice/config.json` that is missing, no JSON or no object is named, and nothing is written."""
    if text is not None:
        (tmp_path / ".chalice").mkdir()
        (tmp_path / ".chalice" / "config.json").write_text(text)
    for use in (
        lambda: chalice_deploy.write_section(
            tmp_path, Stage("test"), chalice_deploy.section(Stage("test"), OUTPUTS)
        ),
        lambda: chalice_deploy.remove_section(tmp_path, Stage("test")),
        lambda: chalice_deploy.fingerprint(tmp_path, Stage("test"), {}),
    ):
        with pytest.raises(Problem, match=r"\.chalice/config\.json"):
            use()


@pytest.mark.parametrize("name", ["prod", "a", "test-2", "a23456789012345"])
def test_a_good_stage_name_is_taken(name: str) -> None:
    """Short names of lower-case letters, digits and single hyphens are good for every service."""
    assert len(Stage(name).cache) <= 20


@pytest.mark.parametrize("name", ["", "Prod", "1st", "a--b", "a-", "a_b", "a" * 16, "a/b", "prod\n"])
def test_a_bad_stage_name_is_refused(name: str) -> None:
    """What some service would refuse half way is refused at the start."""
    with pytest.raises(WrongUse):
        Stage(name)


@pytest.mark.parametrize(
    "text",
    [
        'Nonsense = "1"',
        'Stage = "other"',
        "MinTasks = [1]",
        "MinTasks = true",
        'ImageUri = "x"',
        "MinTasks =",
    ],
)
def test_a_settings_file_with_an_unknown_value_is_refused(tmp_path: Path, text: str) -> None:
    """A value that no template has, or that the command fills in itself, is one clear message."""
    path = tmp_path / "stage.toml"
    path.write_text(text)
    with pytest.raises(WrongUse, match=r"stage\.toml"):
        read_stage("test", path)


def test_a_section_keeps_what_somebody_set(tmp_path: Path) -> None:
    """What is not ours stays; writing twice changes nothing; removing takes ours out."""
    path = tmp_path / ".chalice" / "config.json"
    path.parent.mkdir()
    before = {
        "version": "2.0",
        "stages": {
            "dev": {"api_gateway_stage": "dev"},
            "test": {"lambda_memory_size": 1024, "environment_variables": {"QUEUE_SIZE": "500"}},
        },
    }
    path.write_text(json.dumps(before))
    stage = Stage("test")
    assert chalice_deploy.write_section(tmp_path, stage, chalice_deploy.section(stage, OUTPUTS))
    assert not chalice_deploy.write_section(tmp_path, stage, chalice_deploy.section(stage, OUTPUTS))
    written = json.loads(path.read_text())["stages"]
    assert written["dev"] == before["stages"]["dev"]  # type: ignore[index]  # it is a dict
    assert written["test"]["lambda_memory_size"] == 1024
    assert written["test"]["subnet_ids"] == ["subnet-a", "subnet-b"]
    assert written["test"]["environment_variables"]["QUEUE_SIZE"] == "500"
    assert written["test"]["environment_variables"]["REDIS_MODE"] == "cluster"
    assert "PASSWORD" not in path.read_text()
    chalice_deploy.remove_section(tmp_path, stage)
    left = json.loads(path.read_text())["stages"]["test"]
    assert (left["lambda_memory_size"], left["environment_variables"]["QUEUE_SIZE"]) == (1024, "500")
    assert "subnet_ids" not in left and "REDIS_ADDR" not in left["environment_variables"]


def test_a_policy_of_the_api_is_deployed_too(tmp_path: Path) -> None:
    """What chalice reads beside its settings is in the folder that it gets, and a change of it is one."""
    (tmp_path / ".chalice").mkdir()
    settings = {"stages": {"test": {"api_gateway_policy_file": "policy.json", "environment_variables": {}}}}
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(settings))
    (tmp_path / ".chalice" / "policy.json").write_text('{"Version": "2012-10-17"}')
    before = chalice_deploy.fingerprint(tmp_path, Stage("test"), {})
    assert chalice_deploy.fingerprint(tmp_path, Stage("test"), {"SecretVersion": "2"}) != before
    with chalice_deploy._copy(tmp_path, Stage("test"), "secret", None) as folder:
        assert (folder / ".chalice" / "policy.json").read_text() == '{"Version": "2012-10-17"}'
    (tmp_path / ".chalice" / "policy.json").write_text("{}")
    assert chalice_deploy.fingerprint(tmp_path, Stage("test"), {}) != before


def test_the_queue_lets_scaling_come_to_its_end() -> None:
    """As many jobs may wait as make scaling ask for the most runners there may be."""
    assert int(chalice_deploy.QUEUE_SIZE) > RECOMMENDED.max_tasks * RECOMMENDED.target_backlog_per_task


# -- docs/deploy.md


def test_the_page_has_the_steps_in_order() -> None:
    """Its table has every step of `deploy`, as they come in the code."""
    tree = ast.parse((ROOT / "infra" / "deploy.py").read_text())
    [deploying] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "deploy"]
    steps = [
        str(call.args[0].value)
        for node in deploying.body
        if isinstance(node, ast.With) and isinstance(call := node.items[0].context_expr, ast.Call)
        if isinstance(call.args[0], ast.Constant)
    ]
    assert [row[0].strip("`") for row in table(PAGE, "step", "what it makes")] == steps


def test_the_page_s_settings_file_is_read(tmp_path: Path) -> None:
    """Its example is a stage's file as it stands: each value is a parameter of a template, numbers too."""
    [example] = re.findall(r"^```toml\n(.*?)^```$", text_of(PAGE), re.MULTILINE | re.DOTALL)
    path = tmp_path / "test.toml"
    path.write_text(example)
    stage = read_stage("test", path)
    assert (stage.values["MaxTasks"], stage.values["TargetBacklogPerTask"]) == ("100", "0.7")


def test_the_page_has_the_commands_and_exit_codes() -> None:
    """Each command is in its table, and each exit code on the page."""
    rows = table(PAGE, "command", "what it does")
    [commands] = [
        action.choices
        for action in command.parser()._actions
        if action.dest == "command" and action.choices is not None
    ]
    assert {row[0].split()[3] for row in rows} == set(commands)
    [codes] = re.findall(r"^Exit codes: (.*)$", text_of(PAGE), re.MULTILINE)
    wanted = {0, command.EXIT_FAILED, command.EXIT_USE, command.EXIT_INTERRUPTED}
    assert {int(code) for code in re.findall(r"\d+", codes)} == wanted
