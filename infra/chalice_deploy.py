"""The functions and the API, which are chalice's: what it is told, running it, and what it has made.

chalice runs on a copy of what it packs, in a folder that only we can read. Only that copy's settings hold the
password of Redis: `.chalice/config.json` gets everything else, so that it can be committed. What chalice has
made is noted in an SSM parameter, so that any machine can go on; with the fingerprint of what it was made
from, so that the same again is not made twice.
"""

import hashlib
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
from infra.context import Outside
from infra.errors import AGAIN, Problem, remedy_for
from infra.stage import Stage

# What the zip is made from.
PACKED = ("app.py", "chalicelib", "requirements.txt")
CONFIG = Path(".chalice") / "config.json"
# Lambda takes new functions on these; 3.11 is past its end there, and chalice knows none that is newer.
PYTHONS = ((3, 12), (3, 13))
# Jobs that may wait, where nobody says otherwise. Scaling asks for a runner per 16 jobs, so the 100 of a
# single host would end it at seven; the worst of the model's days has 3,000 waiting.
QUEUE_SIZE = "5000"
# Packing needs wheels from an index, uploading is some MB; chalice itself has no time-out.
LONGEST_RUN_SECONDS = 900


@dataclass(frozen=True)
class Deployed:
    """What chalice has made: its own record, and the fingerprint of what it was made from."""

    record: dict[str, Any]
    fingerprint: str

    @property
    def url(self) -> str:
        """Where the API answers, without a slash at the end."""
        [url] = [item["rest_api_url"] for item in self.record["resources"] if "rest_api_url" in item]
        return str(url).rstrip("/")

    def functions(self) -> list[str]:
        """The ARNs of its functions."""
        return [item["lambda_arn"] for item in self.record["resources"] if "lambda_arn" in item]

    def rules(self) -> list[str]:
        """The names of its schedules."""
        return [item["rule_name"] for item in self.record["resources"] if "rule_name" in item]

    def api(self) -> str:
        """The id of its REST API."""
        [identifier] = [item["rest_api_id"] for item in self.record["resources"] if "rest_api_id" in item]
        return str(identifier)


def section(stage: Stage, outputs: Mapping[str, str]) -> dict[str, Any]:
    """The stage's section of `.chalice/config.json`, from the outputs of all stacks; no secret is in it."""
    return {
        "api_gateway_stage": stage.name,
        "manage_iam_role": False,
        "iam_role_arn": outputs["FunctionRoleArn"],
        "subnet_ids": outputs["SubnetIds"].split(","),
        "security_group_ids": [outputs["FunctionGroupId"]],
        "environment_variables": {
            "ENVIRONMENT": stage.name,
            "REDIS_ENABLED": "true",
            "REDIS_ADDR": outputs["RedisAddress"],
            "REDIS_MODE": outputs["RedisMode"],
            "REDIS_USERNAME": outputs["RedisUsername"],
            "REDIS_TLS": "true",
            "QUEUE_SIZE": QUEUE_SIZE,
        },
    }


def _read_config(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise Problem(f"{CONFIG} cannot be read: {error}", f"mend the file, then {AGAIN}") from error
    if not isinstance(found, dict):
        raise Problem(f"{CONFIG} is no JSON object", f"mend the file, then {AGAIN}")
    return found


def write_section(root: Path, stage: Stage, wanted: Mapping[str, Any]) -> bool:
    """Puts the section into `.chalice/config.json`, and leaves the others alone; whether it changed."""
    path, config = root / CONFIG, _read_config(root)
    stages = config.setdefault("stages", {})
    kept = stages.get(stage.name, {})
    # What somebody set besides, stays; of the variables too, and the length of the queue is theirs to choose.
    chosen = kept.get("environment_variables", {})
    variables = {**chosen, **wanted["environment_variables"]}
    variables["QUEUE_SIZE"] = chosen.get("QUEUE_SIZE", variables["QUEUE_SIZE"])
    merged = {**kept, **wanted, "environment_variables": variables}
    if merged == kept:
        return False
    stages[stage.name] = merged
    path.write_text(json.dumps(config, indent=2) + "\n")
    return True


def remove_section(root: Path, stage: Stage) -> None:
    """Takes out of `.chalice/config.json` what `write_section` put in."""
    path, config = root / CONFIG, _read_config(root)
    kept = config.get("stages", {}).get(stage.name, {})
    before = json.dumps(config)
    for key in ("manage_iam_role", "iam_role_arn", "subnet_ids", "security_group_ids"):
        kept.pop(key, None)
    for name in ("REDIS_ADDR", "REDIS_MODE", "REDIS_USERNAME", "REDIS_TLS"):
        kept.get("environment_variables", {}).pop(name, None)
    if kept.get("environment_variables", {}).get("QUEUE_SIZE") == QUEUE_SIZE:
        del kept["environment_variables"]["QUEUE_SIZE"]
    if json.dumps(config) != before:
        path.write_text(json.dumps(config, indent=2) + "\n")


def fingerprint(root: Path, stage: Stage, known: Mapping[str, str]) -> str:
    """A hash of everything that a deployment is made from; `known` has the stacks' outputs."""
    config = _read_config(root)
    config["stages"] = config.get("stages", {}).get(stage.name, {})
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    given = " ".join(known.get(name, "") for name in ("SecretVersion", "CallsPerSecond", "CallsAtOnce"))
    digest.update(f"{given} {sys.version_info[:2]} {importlib.metadata.version('chalice')}".encode())
    for path in sorted(_packed(root)):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _packed(root: Path) -> Iterator[Path]:
    for name in PACKED:
        path = root / name
        if path.is_file():
            yield path
        else:
            yield from (
                each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts
            )
    # A policy for who may call, say; the settings are read apart.
    yield from (each for each in (root / CONFIG).parent.glob("*.json") if each.name != CONFIG.name)


def recorded(outside: Outside, stage: Stage) -> Deployed | None:
    """What was deployed last, by whatever machine; None when nothing was."""
    try:
        found = outside.client("ssm").get_parameter(Name=stage.record)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    value = json.loads(found["Parameter"]["Value"])
    return Deployed(value["record"], value["fingerprint"])


def is_there(outside: Outside, deployed: Deployed) -> bool:
    """Whether all of it still exists, and its schedule is switched on."""
    try:
        for arn in deployed.functions():
            outside.client("lambda").get_function(FunctionName=arn)
        for name in deployed.rules():
            if outside.client("events").describe_rule(Name=name)["State"] != "ENABLED":
                return False
        outside.client("apigateway").get_rest_api(restApiId=deployed.api())
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NotFoundException"):
            return False
        raise
    return True


def check_python(version: tuple[int, int]) -> None:
    """`Problem` unless Lambda takes functions of the Python that runs chalice."""
    if version not in PYTHONS:
        raise Problem(
            f"this is Python {version[0]}.{version[1]}, and the function gets the version "
            "that deploys it; Lambda takes new functions on 3.12 and 3.13",
            "make an environment with one of them: PYTHON=python3.13 bin/setup run",
        )


def deploy(
    outside: Outside, stage: Stage, root: Path, password: str, known: Mapping[str, str], mark: str
) -> Deployed:
    """Runs `chalice deploy`, limits how often the API may be called, and notes what was made."""
    noted = recorded(outside, stage)
    earlier = noted.record if noted else chalice_resources.record_of(outside, stage)
    with _copy(root, stage, password, earlier) as folder:
        try:
            _chalice(outside, folder, "deploy", "--stage", stage.name)
        finally:
            # Noted also when it failed half way: the next run goes on from there.
            record = _record_in(folder, stage)
            if record is not None:
                _note(outside, stage, Deployed(record, ""))
    if record is None:
        raise Problem("chalice has left no record of what it deployed")
    deployed = Deployed(record, mark)
    _limit_calls(outside, stage, deployed, known)
    _note(outside, stage, deployed)
    return deployed


def _limit_calls(outside: Outside, stage: Stage, deployed: Deployed, known: Mapping[str, str]) -> None:
    limits = (("rateLimit", known["CallsPerSecond"]), ("burstLimit", known["CallsAtOnce"]))
    outside.client("apigateway").update_stage(
        restApiId=deployed.api(),
        stageName=stage.name,
        patchOperations=[
            {"op": "replace", "path": f"/*/*/throttling/{name}", "value": value} for name, value in limits
        ],
    )


def delete(outside: Outside, stage: Stage) -> list[str]:
    """Removes all that chalice made, noted or not, and the note; returns what there was."""
    gone = chalice_resources.delete(outside, stage)
    if recorded(outside, stage) is not None:
        outside.client("ssm").delete_parameter(Name=stage.record)
    return gone


def _note(outside: Outside, stage: Stage, deployed: Deployed) -> None:
    value = json.dumps(
        {"fingerprint": deployed.fingerprint, "record": deployed.record}, separators=(",", ":")
    )
    outside.client("ssm").put_parameter(Name=stage.record, Value=value, Type="String", Overwrite=True)


def _record_in(folder: Path, stage: Stage) -> dict[str, Any] | None:
    path = folder / ".chalice" / "deployed" / f"{stage.name}.json"
    return json.loads(path.read_text()) if path.exists() else None


@contextmanager
def _copy(root: Path, stage: Stage, password: str, earlier: dict[str, Any] | None) -> Iterator[Path]:
    """A folder for chalice, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="will-it-compile-deploy-") as name:
        folder = Path(name)
        for path in _packed(root):
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        config = _read_config(root)
        config["stages"][stage.name]["environment_variables"]["REDIS_PASSWORD"] = password
        (folder / ".chalice" / "deployed").mkdir(parents=True)
        (folder / CONFIG).write_text(json.dumps(config))
        if earlier is not None:
            (folder / ".chalice" / "deployed" / f"{stage.name}.json").write_text(json.dumps(earlier))
        yield folder


def _chalice(outside: Outside, folder: Path, *arguments: str) -> None:
    # chalice's own program, by the Python that runs us: it decides the function's runtime.
    command = [sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())", *arguments]
    # AWS asks chalice for patience, too; its botocore reads these.
    patience = {
        "AWS_RETRY_MODE": str(outside.retries["mode"]),
        "AWS_MAX_ATTEMPTS": str(outside.retries["max_attempts"]),
    }
    environ = {**outside.environ, **patience, "PYTHONDONTWRITEBYTECODE": "1"}
    if outside.region_name:
        environ["AWS_DEFAULT_REGION"] = outside.region_name
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Problem(f"chalice {arguments[0]} was not done after {LONGEST_RUN_SECONDS} s") from error
    for line in run.stdout.splitlines():
        outside.say(f"    {line}")
    if run.returncode != 0:
        code = re.search(r"error occurred \((\w+)\)", " ".join(run.stderr.split()))
        remedy = remedy_for(code[1]) if code else ""
        raise Problem(
            f"chalice {arguments[0]} failed: {_in_one_line(run.stderr)}",
            remedy or f"mend what this says (`chalice` speaks with the same credentials), then {AGAIN}",
        )


def _in_one_line(stderr: str) -> str:
    """What chalice complains of: it breaks its sentence into lines, or ends with a traceback."""
    if "Traceback" in stderr:
        return stderr.strip().splitlines()[-1]
    said = " ".join(stderr.split())
    said = said.rpartition("received the following error: ")[2]
    return re.sub(r"^\W*(An error .* when calling the )?", "", said) or "it says nothing"
