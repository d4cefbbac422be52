"""The parts of the deploy command that need no AWS: names, tags, settings, configuration, docs/deploy.md."""

import ast
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from botocore.exceptions import ClientError
from docker.errors import DockerException

from infra import __main__ as command
from infra import chalice_deploy, image, smoke_test
from infra.context import DeployContext, Reply
from infra.errors import DeployError, UsageError, step
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
def build_context(tmp_path: Path) -> Path:
    """A folder with a small file in place of each one that the image is made from."""
    for name in image.BUILD_CONTEXT:
        path = tmp_path / name
        if (ROOT / name).is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name}\n")
        else:
            (path / "deeper").mkdir(parents=True, exist_ok=True)
            (path / "deeper" / "module.py").write_text("1\n")
    return tmp_path


def test_the_tag_depends_on_the_content(build_context: Path) -> None:
    """The same files give the same tag anywhere. Python's caches do not count; content and modes do."""
    first = image.source_tag(build_context)
    assert re.fullmatch(r"src-[0-9a-f]{16}", first)
    (build_context / "runner" / "__pycache__").mkdir()
    (build_context / "runner" / "__pycache__" / "x.pyc").write_bytes(b"x")
    assert image.source_tag(build_context) == first
    copy = build_context.with_name("copy")
    shutil.copytree(build_context, copy)
    assert image.source_tag(copy) == first
    (build_context / "bin" / "fetch-compilers").chmod(0o755)
    second = image.source_tag(build_context)
    (build_context / "chalicelib" / "deeper" / "module.py").write_text("2\n")
    assert len({first, second, image.source_tag(build_context)}) == 3


def test_the_tag_covers_what_the_dockerfile_copies() -> None:
    """Everything that the Dockerfile copies from the repository is part of the hash."""
    copied = set()
    for line in (ROOT / image.DOCKERFILE).read_text().replace("\\\n", " ").splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            copied |= set(line.split()[1:-1])
    downloads = {name for name in copied if name.startswith(".setup/")}  # of pinned versions
    covered = {
        name for name in copied if any(f"{name}/".startswith(f"{each}/") for each in image.BUILD_CONTEXT)
    }
    assert covered and copied - downloads == covered


def no_engine() -> Any:
    """What the Docker SDK does on a machine without a container engine."""
    raise DockerException("Error while fetching server API version")


def test_without_a_container_engine_the_hint_is_to_name_an_image() -> None:
    """The message says that no engine answers, the hint how to deploy without one."""
    context = DeployContext(env={}, engine=no_engine)
    with pytest.raises(DeployError) as caught, step("image"):
        image.ensure(context, Stage("test"), "1.dkr.ecr/x", "some:image")
    assert caught.value.step == "image"
    assert "no container engine answers" in caught.value.message and "--image" in caught.value.hint


class ArmEngine:
    """A container engine whose images are for another processor."""

    id = "sha256:1"
    attrs: ClassVar[dict[str, str]] = {"Os": "linux", "Architecture": "arm64"}

    @property
    def images(self) -> "ArmEngine":
        """As in the Docker SDK."""
        return self

    def close(self) -> None:
        """As in the Docker SDK."""

    def get(self, _name: str) -> "ArmEngine":
        """As in the Docker SDK."""
        return self


class ContextOnArm:
    """A context with such an engine, and an ECR without images."""

    engine = ArmEngine

    def client(self, service: str) -> "ContextOnArm":
        """The client of ECR."""
        assert service == "ecr"
        return self

    def describe_images(self, **_: Any) -> None:
        """There are none."""
        raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": ""}}, "DescribeImages")


def test_an_image_for_another_processor_is_not_pushed() -> None:
    """A task could not start it, so it fails here, and the hint has the option that builds the right one."""
    with pytest.raises(DeployError) as caught:
        image.ensure(cast(DeployContext, ContextOnArm()), Stage("test"), "1.dkr.ecr/x", "some:image")
    assert "the image is for linux/arm64" in caught.value.message
    assert "--platform linux/amd64" in caught.value.hint


def test_a_settings_file_that_is_not_text_is_one_message(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 give one message, as invalid TOML does."""
    path = tmp_path / "stage.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"stage\.toml cannot be read"):
        read_stage("test", path)


@pytest.mark.parametrize("text", [None, "{", "[]"], ids=["missing", "invalid-json", "not-an-object"])
def test_a_broken_chalice_config_is_one_message(tmp_path: Path, text: str | None) -> None:
    """The message names `.chalice/config.json` when it is missing, not JSON or not an object."""
    if text is not None:
        (tmp_path / ".chalice").mkdir()
        (tmp_path / ".chalice" / "config.json").write_text(text)
    for operation in (
        lambda: chalice_deploy.write_config_section(
            tmp_path, Stage("test"), chalice_deploy.config_section(Stage("test"), OUTPUTS)
        ),
        lambda: chalice_deploy.remove_config_section(tmp_path, Stage("test")),
        lambda: chalice_deploy.fingerprint_of(tmp_path, Stage("test"), {}),
    ):
        with pytest.raises(DeployError, match=r"\.chalice/config\.json"):
            operation()


@pytest.mark.parametrize("name", ["prod", "a", "test-2", "a23456789012345"])
def test_a_valid_stage_name(name: str) -> None:
    """Short names of lower-case letters, digits and single hyphens are valid in every service."""
    assert len(Stage(name).cache) <= 20


@pytest.mark.parametrize("name", ["", "Prod", "1st", "a--b", "a-", "a_b", "a" * 16, "a/b", "prod\n"])
def test_an_invalid_stage_name(name: str) -> None:
    """A name that some service of AWS would reject half way is an error at the start."""
    with pytest.raises(UsageError):
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
    ids=["unknown", "set-by-the-command", "list", "truth-value", "image", "invalid-toml"],
)
def test_an_invalid_settings_file_is_one_message(tmp_path: Path, text: str) -> None:
    """A parameter that no template has or that the command sets itself, or a wrong value, names the file."""
    path = tmp_path / "stage.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"stage\.toml"):
        read_stage("test", path)


def test_writing_a_section_keeps_what_users_have_set(tmp_path: Path) -> None:
    """Keys of users stay, writing twice changes nothing, and removing takes out only what was written."""
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
    assert chalice_deploy.write_config_section(tmp_path, stage, chalice_deploy.config_section(stage, OUTPUTS))
    assert not chalice_deploy.write_config_section(
        tmp_path, stage, chalice_deploy.config_section(stage, OUTPUTS)
    )
    written = json.loads(path.read_text())["stages"]
    assert written["dev"] == before["stages"]["dev"]  # type: ignore[index]  # it is a dict
    assert written["test"]["lambda_memory_size"] == 1024
    assert written["test"]["subnet_ids"] == ["subnet-a", "subnet-b"]
    assert written["test"]["environment_variables"]["QUEUE_SIZE"] == "500"
    assert written["test"]["environment_variables"]["REDIS_MODE"] == "cluster"
    assert "PASSWORD" not in path.read_text()
    chalice_deploy.remove_config_section(tmp_path, stage)
    left = json.loads(path.read_text())["stages"]["test"]
    assert (left["lambda_memory_size"], left["environment_variables"]["QUEUE_SIZE"]) == (1024, "500")
    assert "subnet_ids" not in left and "REDIS_ADDR" not in left["environment_variables"]


def test_a_policy_of_the_api_is_deployed(tmp_path: Path) -> None:
    """Other files that chalice reads are in its working copy, and changing one changes the fingerprint."""
    (tmp_path / ".chalice").mkdir()
    settings = {"stages": {"test": {"api_gateway_policy_file": "policy.json", "environment_variables": {}}}}
    (tmp_path / ".chalice" / "config.json").write_text(json.dumps(settings))
    (tmp_path / ".chalice" / "policy.json").write_text('{"Version": "2012-10-17"}')
    before = chalice_deploy.fingerprint_of(tmp_path, Stage("test"), {})
    assert chalice_deploy.fingerprint_of(tmp_path, Stage("test"), {"SecretVersion": "2"}) != before
    with chalice_deploy.working_copy(tmp_path, Stage("test"), "secret", None) as folder:
        assert (folder / ".chalice" / "policy.json").read_text() == '{"Version": "2012-10-17"}'
    (tmp_path / ".chalice" / "policy.json").write_text("{}")
    assert chalice_deploy.fingerprint_of(tmp_path, Stage("test"), {}) != before


def test_the_queue_is_long_enough_for_scaling() -> None:
    """Enough jobs may wait to make scaling ask for the highest number of runners."""
    assert int(chalice_deploy.QUEUE_SIZE) > RECOMMENDED.max_tasks * RECOMMENDED.target_backlog_per_task


# -- the check after a deployment


def test_the_check_waits_for_a_verdict_and_submits_each_program_once() -> None:
    """It repeats a call that got 503, and asks for the result of a job that was submitted."""
    replies = iter(
        [Reply(503, {"message": "no runner yet"}), Reply(202, {"job_id": "7", "status": "queued"})]
    )
    calls: list[tuple[str, str]] = []

    def http(method: str, url: str, body: object = None) -> Reply:
        calls.append((method, url.partition("/api/v1")[2]))
        verdict = "compiles" if body is None or "return 0" in str(body) else "rejected"
        return next(replies, Reply(200, {"job_id": "7", "verdict": verdict}))

    lines: list[str] = []
    context = DeployContext(env={}, http=http, sleep=lambda _: None, say=lines.append)
    assert "good and a bad program" in smoke_test.check_service(context, "https://api.test/stage")
    assert calls == [
        ("POST", "/compile?wait=25"),
        ("POST", "/compile?wait=25"),
        ("GET", "/compile/7?wait=25"),
        ("POST", "/compile?wait=25"),
    ]
    assert lines == ["  not yet (503 no runner yet)", "  not yet (202 queued)"]


def test_the_check_gives_up_after_its_longest_wait() -> None:
    """Without a verdict the message has the last answer, and the hint where to look."""
    seconds = itertools.count(0, smoke_test.LONGEST_WAIT_SECONDS / 3)
    context = DeployContext(
        env={},
        http=lambda *_: Reply(503, {"message": "no runner yet"}),
        sleep=lambda _: None,
        now=lambda: next(seconds),
        say=lambda _: None,
    )
    with pytest.raises(DeployError, match="503 no runner yet") as caught:
        smoke_test.check_service(context, "https://api.test/stage")
    assert "python -m infra status" in caught.value.hint and "CloudWatch" in caught.value.hint


# -- docs/deploy.md


def test_the_page_has_the_steps_in_order() -> None:
    """Its table has every step of `deploy` in the order of the code."""
    tree = ast.parse((ROOT / "infra" / "deploy.py").read_text())
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "deploy"]
    steps = [
        str(call.args[0].value)
        for node in function.body
        if isinstance(node, ast.With) and isinstance(call := node.items[0].context_expr, ast.Call)
        if isinstance(call.args[0], ast.Constant)
    ]
    assert [row[0].strip("`") for row in table(PAGE, "step", "what it makes")] == steps


def test_the_page_s_settings_file_is_read(tmp_path: Path) -> None:
    """Its example is a valid settings file of a stage: each key is a parameter of a template."""
    [example] = re.findall(r"^```toml\n(.*?)^```$", text_of(PAGE), re.MULTILINE | re.DOTALL)
    path = tmp_path / "test.toml"
    path.write_text(example)
    stage = read_stage("test", path)
    assert (stage.parameters["MaxTasks"], stage.parameters["TargetBacklogPerTask"]) == ("100", "0.7")


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
    expected = {0, command.EXIT_FAILED, command.EXIT_USAGE, command.EXIT_INTERRUPTED}
    assert {int(code) for code in re.findall(r"\d+", codes)} == expected
