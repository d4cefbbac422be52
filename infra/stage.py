"""One deployment: its name, everything that is named after it, and the values of its templates' parameters.

Names are fixed by the stage, so that every run finds what an earlier one made. A value that is not the
template's default stands in `infra/stages/<stage>.toml`, which belongs into version control.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import WrongUse

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "infra" / "templates"
# In the order in which they are made; the later ones take what the earlier ones have made.
STACKS = ("network", "store", "runners", "api")
# What the command fills in itself.
FILLED_IN = frozenset(
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
    """A deployment called `name`; `values` are the parameters that differ from the templates' defaults."""

    name: str
    values: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # ElastiCache takes 20 characters for a name of ours, `wic-` and one to spare included.
        if (
            not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", self.name)
            or self.name.endswith("-")
            or "--" in self.name
            # The other function of the stage `x` has the name that the first one of `x-sweep` would have.
            or self.name.endswith("-sweep")
        ):
            raise WrongUse(
                f"the stage {self.name!r} cannot be a name: up to 15 of a-z, 0-9 and '-', a letter first, "
                "not ending in -sweep",
                "choose another --stage",
            )

    @property
    def app(self) -> str:
        """The name of function, cluster and image repository."""
        return f"will-it-compile-{self.name}"

    @property
    def cache(self) -> str:
        """The name of the cache."""
        return f"wic-{self.name}"

    @property
    def record(self) -> str:
        """The SSM parameter with what chalice deployed, so that any machine can go on."""
        return f"/will-it-compile/{self.name}/deployed"

    @property
    def secret(self) -> str:
        """The name of the secret with the password of Redis."""
        return f"will-it-compile/{self.name}/redis"

    def stack(self, part: str) -> str:
        """The name of a stack."""
        return f"{self.app}-{part}"


def parameters_of(template: str) -> set[str]:
    """The parameters of a template, by their place in the text, without YAML's tags."""
    [block] = re.findall(r"^Parameters:\n((?:(?: .*)?\n)*)", template, re.MULTILINE)
    return set(re.findall(r"^  (\w+):$", block, re.MULTILINE))


def read_stage(name: str, path: Path | None = None) -> Stage:
    """The stage with the values of its file, if there is one; `WrongUse` for a value without a parameter."""
    chosen = path or ROOT / "infra" / "stages" / f"{name}.toml"
    if path is None and not chosen.exists():
        return Stage(name)
    try:
        values = tomllib.loads(chosen.read_text())
    except (OSError, ValueError) as error:  # no TOML, or no text
        raise WrongUse(f"{chosen.name} cannot be read: {error}", "mend the file") from error
    known = {name for part in STACKS for name in parameters_of((TEMPLATES / f"{part}.yml").read_text())}
    for key, value in values.items():
        if key not in known - FILLED_IN:
            allowed = ", ".join(sorted(known - FILLED_IN))
            raise WrongUse(f"{chosen.name}: {key} is no parameter", f"use one of {allowed}")
        # To Python a truth value is a number, too.
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise WrongUse(f"{chosen.name}: {key} takes a text or a number", "mend the file")
    return Stage(name, {key: str(value) for key, value in values.items()})
