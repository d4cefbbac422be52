"""Deploys the functions and the API with chalice, and keeps a record of what chalice made.

chalice runs on a copy of the program, in a folder that only this user can read. Only the configuration in
that copy holds the password of Redis; `.chalice/config.json` gets everything else, so it can be committed.
The deployment record is kept in an SSM parameter, so that any machine can continue, with a fingerprint of
what was deployed, so that the same is not deployed twice.
"""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra import chalice_resources
from infra.content_hash import content_hash, files_of
from infra.context import DeployContext
from infra.errors import AGAIN, FIX_AND_REPEAT, DeployError, hint_for
from infra.stage import Stage

# What the zip is made from.
PACKED = ("app.py", "chalicelib", "requirements.txt")
CONFIG = Path(".chalice") / "config.json"
RECORDS = Path(".chalice") / "deployed"
# Lambda accepts new functions on these, and no longer on 3.11; the tests run on no newer one.
PYTHONS = ((3, 12), (3, 13))
# Jobs that may wait, unless the stage sets its own QUEUE_SIZE. Scaling asks for one runner per 32 jobs
# (TargetBacklogPerTask), so the default of 100 would stop it at four runners; on the worst day of the
# capacity model (docs/capacity.md) 3,000 jobs wait.
QUEUE_SIZE = "5000"
# Packing fetches wheels and uploads some MB; chalice itself has no time limit.
LONGEST_RUN_SECONDS = 900


@dataclass(frozen=True)
class Deployment:
    """What chalice deployed: its own record, and the fingerprint of what it deployed (empty: it failed)."""

    record: dict[str, Any]
    fingerprint: str

    @property
    def url(self) -> str:
        """The URL of the API, without a slash at the end."""
        [url] = self._values("rest_api_url")
        return url.rstrip("/")

    def functions(self) -> list[str]:
        """The ARNs of its functions."""
        return self._values("lambda_arn")

    def rules(self) -> list[str]:
        """The names of its schedules."""
        return self._values("rule_name")

    def api(self) -> str:
        """The id of its REST API."""
        [identifier] = self._values("rest_api_id")
        return identifier

    def _values(self, key: str) -> list[str]:
        return [str(resource[key]) for resource in self.record["resources"] if key in resource]


# -- the stage's section of .chalice/config.json


def config_section(stage: Stage, stack_values: Mapping[str, str]) -> dict[str, Any]:
    """The stage's section of `.chalice/config.json`, from the outputs of all stacks; it holds no secret."""
    return {
        "api_gateway_stage": stage.name,
        "manage_iam_role": False,
        "iam_role_arn": stack_values["FunctionRoleArn"],
        "subnet_ids": stack_values["SubnetIds"].split(","),
        "security_group_ids": [stack_values["FunctionGroupId"]],
        "environment_variables": {
            "ENVIRONMENT": stage.name,
            "REDIS_ENABLED": "true",
            "REDIS_ADDR": stack_values["RedisAddress"],
            "REDIS_MODE": stack_values["RedisMode"],
            "REDIS_USERNAME": stack_values["RedisUsername"],
            "REDIS_TLS": "true",
            "QUEUE_SIZE": QUEUE_SIZE,
        },
    }


def _read_config(root: Path) -> dict[str, Any]:
    fix_file = f"fix the file, then {AGAIN}"
    try:
        config = json.loads((root / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise DeployError(f"{CONFIG} cannot be read: {error}", fix_file) from error
    if not isinstance(config, dict):
        raise DeployError(f"{CONFIG} does not hold a JSON object", fix_file)
    return config


def write_config_section(root: Path, stage: Stage, section: Mapping[str, Any]) -> bool:
    """Writes the section into `.chalice/config.json`; returns whether that changed anything.

    What users have added stays: other sections, other keys and variables of this one, and its QUEUE_SIZE.
    """
    path, config = root / CONFIG, _read_config(root)
    stages = config.setdefault("stages", {})
    current = stages.get(stage.name, {})
    current_env = current.get("environment_variables", {})
    env = {**current_env, **section["environment_variables"]}
    env["QUEUE_SIZE"] = current_env.get("QUEUE_SIZE", env["QUEUE_SIZE"])
    merged = {**current, **section, "environment_variables": env}
    if merged == current:
        return False
    stages[stage.name] = merged
    path.write_text(json.dumps(config, indent=2) + "\n")
    return True


def remove_config_section(root: Path, stage: Stage) -> None:
    """Removes from `.chalice/config.json` what `write_config_section` wrote."""
    path, config = root / CONFIG, _read_config(root)
    section = config.get("stages", {}).get(stage.name, {})
    before = json.dumps(config)
    for key in ("manage_iam_role", "iam_role_arn", "subnet_ids", "security_group_ids"):
        section.pop(key, None)
    env = section.get("environment_variables", {})
    for name in ("REDIS_ADDR", "REDIS_MODE", "REDIS_USERNAME", "REDIS_TLS"):
        env.pop(name, None)
    if env.get("QUEUE_SIZE") == QUEUE_SIZE:
        del env["QUEUE_SIZE"]
    if json.dumps(config) != before:
        path.write_text(json.dumps(config, indent=2) + "\n")


# -- what is deployed, and what was


def fingerprint_of(root: Path, stage: Stage, stack_values: Mapping[str, str]) -> str:
    """A hash of what a deployment depends on: program, configuration, stacks, Python and chalice."""
    config = _read_config(root)
    config["stages"] = config.get("stages", {}).get(stage.name, {})
    also = [json.dumps(config, sort_keys=True), stack_values.get("SecretVersion", "")]
    also += [str(sys.version_info[:2]), importlib.metadata.version("chalice")]
    return content_hash(root, _packed_files(root), also=" ".join(also))[:32]


def _packed_files(root: Path) -> Iterator[Path]:
    yield from files_of(root, PACKED)
    # Other files that chalice reads, such as a policy for the API; the configuration itself is not copied
    # as is.
    yield from (path for path in (root / CONFIG).parent.glob("*.json") if path.name != CONFIG.name)


def last_deployment(context: DeployContext, stage: Stage) -> Deployment | None:
    """What was deployed last, from whatever machine; None if nothing was."""
    try:
        parameter = context.client("ssm").get_parameter(Name=stage.deployment_record)["Parameter"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    value = json.loads(parameter["Value"])
    return Deployment(value["record"], value["fingerprint"])


def exists(context: DeployContext, deployment: Deployment) -> bool:
    """Whether all of it still exists, and its schedule is switched on."""
    try:
        for arn in deployment.functions():
            context.client("lambda").get_function(FunctionName=arn)
        for name in deployment.rules():
            if context.client("events").describe_rule(Name=name)["State"] != "ENABLED":
                return False
        context.client("apigateway").get_rest_api(restApiId=deployment.api())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NotFoundException"):
            return False
        raise
    return True


# -- deploying and deleting


def check_python(version: tuple[int, int]) -> None:
    """`DeployError` unless Lambda accepts functions on the Python that runs chalice."""
    if version not in PYTHONS:
        raise DeployError(
            f"this is Python {version[0]}.{version[1]}; the function runs on the version that deploys it, "
            "and Lambda accepts new functions on 3.12 and 3.13",
            "make an environment with one of them: PYTHON=python3.13 bin/setup run",
        )


def deploy(
    context: DeployContext,
    stage: Stage,
    root: Path,
    password: str,
    fingerprint: str,
) -> Deployment:
    """Runs `chalice deploy`, and saves the deployment record."""
    last = last_deployment(context, stage)
    earlier = last.record if last else chalice_resources.deployment_record(context, stage)
    with working_copy(root, stage, password, earlier) as folder:
        try:
            _run_chalice(context, folder, "deploy", "--stage", stage.name)
        finally:
            # Saved also after a failure, so that the next run continues from there.
            record = _read_record(folder, stage)
            if record is not None:
                _save(context, stage, Deployment(record, fingerprint=""))
    if record is None:
        raise DeployError("chalice left no record of its deployment")
    deployment = Deployment(record, fingerprint)
    _save(context, stage, deployment)
    return deployment


def delete(context: DeployContext, stage: Stage) -> list[str]:
    """Deletes everything that chalice made, recorded or not, and the record; returns what was there."""
    deleted = chalice_resources.delete(context, stage)
    if last_deployment(context, stage) is not None:
        context.client("ssm").delete_parameter(Name=stage.deployment_record)
    return deleted


def _save(context: DeployContext, stage: Stage, deployment: Deployment) -> None:
    value = json.dumps(
        {"fingerprint": deployment.fingerprint, "record": deployment.record}, separators=(",", ":")
    )
    context.client("ssm").put_parameter(
        Name=stage.deployment_record, Value=value, Type="String", Overwrite=True
    )


def _read_record(folder: Path, stage: Stage) -> dict[str, Any] | None:
    path = folder / RECORDS / f"{stage.name}.json"
    return json.loads(path.read_text()) if path.exists() else None


@contextmanager
def working_copy(
    root: Path, stage: Stage, password: str, deployment_record: dict[str, Any] | None
) -> Iterator[Path]:
    """A temporary folder for chalice: the program, the configuration with the password, the last record."""
    with tempfile.TemporaryDirectory(prefix="will-it-compile-deploy-") as name:
        folder = Path(name)
        for path in _packed_files(root):
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        config = _read_config(root)
        config["stages"][stage.name]["environment_variables"]["REDIS_PASSWORD"] = password
        (folder / RECORDS).mkdir(parents=True)
        (folder / CONFIG).write_text(json.dumps(config))
        if deployment_record is not None:
            (folder / RECORDS / f"{stage.name}.json").write_text(json.dumps(deployment_record))
        yield folder


def _run_chalice(context: DeployContext, folder: Path, *arguments: str) -> None:
    # By the Python that runs this command: it decides on which Python the function runs.
    command = [sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())", *arguments]
    env = {
        **context.env,
        # AWS limits the rate of chalice's calls too; its botocore reads these.
        "AWS_RETRY_MODE": str(context.retries["mode"]),
        "AWS_MAX_ATTEMPTS": str(context.retries["max_attempts"]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if context.region_name:
        env["AWS_DEFAULT_REGION"] = context.region_name
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeployError(f"chalice {arguments[0]} did not end within {LONGEST_RUN_SECONDS} s") from error
    for line in run.stdout.splitlines():
        context.say(f"    {line}")
    if run.returncode != 0:
        code = re.search(r"error occurred \((\w+)\)", " ".join(run.stderr.split()))
        hint = hint_for(code[1]) if code else ""
        raise DeployError(
            f"chalice {arguments[0]} failed: {_error_message(run.stderr)}", hint or FIX_AND_REPEAT
        )


def _error_message(stderr: str) -> str:
    """chalice's error in one line: it wraps its sentence over several lines, or ends with a traceback."""
    if "Traceback" in stderr:
        return stderr.strip().splitlines()[-1]
    message = " ".join(stderr.split()).rpartition("received the following error: ")[2]
    return re.sub(r"^\W*(An error .* when calling the )?", "", message) or "it printed no message"
