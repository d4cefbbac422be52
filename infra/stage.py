"""A stage is one deployment: its name, the names of everything in it, and its templates' parameters.

All names follow from the stage's name, so every run finds what an earlier one made. Parameters that differ
from the templates' defaults are in `infra/stages/<stage>.toml`, which belongs into version control.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "infra" / "templates"
# In the order in which they are made: later stacks use outputs of earlier ones.
STACKS = ("network", "store", "runners", "api")
# Parameters that only the command itself sets.
COMMAND_PARAMETERS = frozenset(
    [
        "Stage",
        "S3PrefixListId",
        "SubnetIds",
        "RedisGroupId",
        "RunnerGroupId",
        "ImageUri",
        "RedisAddress",
        "RedisMode",
        "RedisUsername",
        "RedisSecretArn",
        "SecretVersion",
    ]
)


@dataclass(frozen=True)
class Stage:
    """A deployment called `name`; `parameters` are those that differ from the templates' defaults."""

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # ElastiCache allows 20 characters; `wic-` takes four of them, and one is a reserve.
        if (
            not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", self.name)
            or self.name.endswith("-")
            or "--" in self.name
            # The scheduled function of the stage `x` has the name of the API's function of a stage `x-sweep`.
            or self.name.endswith("-sweep")
        ):
            raise UsageError(
                f"the stage {self.name!r} cannot be a name: use up to 15 of a-z, 0-9 and '-', a letter first "
                "and not -sweep at the end",
                "choose another --stage",
            )

    @property
    def app(self) -> str:
        """The name of the function, the cluster and the image repository."""
        return f"will-it-compile-{self.name}"

    @property
    def cache(self) -> str:
        """The name of the cache (nodes and serverless)."""
        return f"wic-{self.name}"

    @property
    def durable_cache(self) -> str:
        """The name of the cache with `Cache = "durable"`."""
        return f"wicd-{self.name}"

    @property
    def deployment_record(self) -> str:
        """The name of the SSM parameter that says what chalice deployed, so that any machine can continue."""
        return f"/will-it-compile/{self.name}/deployed"

    @property
    def secret(self) -> str:
        """The name of the secret with the password of Redis."""
        return f"will-it-compile/{self.name}/redis"

    def stack(self, part: str) -> str:
        """The name of a stack."""
        return f"{self.app}-{part}"

    def parameter(self, part: str, name: str) -> str:
        """The value with which a stack is made: the stage's own, or the template's default."""
        default = parameter_default((TEMPLATES / f"{part}.yml").read_text(), name)
        return self.parameters.get(name, default)


def parameter_names(template: str) -> set[str]:
    """A template's parameters, read from its text, because YAML parsers do not know CloudFormation's tags."""
    [block] = re.findall(r"^Parameters:\n((?:(?: .*)?\n)*)", template, re.MULTILINE)
    return set(re.findall(r"^  (\w+):$", block, re.MULTILINE))


def parameter_default(template: str, name: str) -> str:
    """The default of a template's parameter, read from its text; empty without one."""
    found = re.search(rf"^  {name}:\n(?:    .*\n)*?    Default: \"?([^\"\n]*)\"?$", template, re.MULTILINE)
    return found[1] if found else ""


def read_stage(name: str, path: Path | None = None) -> Stage:
    """The stage with the parameters of its settings file, if there is one; `UsageError` for a wrong file."""
    settings = path or ROOT / "infra" / "stages" / f"{name}.toml"
    if path is None and not settings.exists():
        return Stage(name)
    try:
        values = tomllib.loads(settings.read_text())
    except (OSError, ValueError) as error:  # not TOML, or not text
        raise UsageError(f"{settings.name} cannot be read: {error}", "fix the file") from error
    known = {name for part in STACKS for name in parameter_names((TEMPLATES / f"{part}.yml").read_text())}
    allowed = known - COMMAND_PARAMETERS
    for key, value in values.items():
        if key not in allowed:
            names = ", ".join(sorted(allowed))
            raise UsageError(f"{settings.name}: unknown parameter {key}", f"use one of {names}")
        # To Python a truth value is also a number.
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise UsageError(f"{settings.name}: {key} takes a text or a number", "fix the file")
    return Stage(name, {key: str(value) for key, value in values.items()})
