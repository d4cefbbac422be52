"""Every setting: its variable, its default, its unit, and what is allowed.

`Settings.from_env(environ)` is the only way from text to values. It reads no file and no global;
`bootstrap.py` decides which mapping it gets. A wrong value raises `SettingsError` with one line that names
the variable, the value and what is allowed; the value of a secret is never shown.

To add a setting: a field of `Settings` with its variable as `alias`, a `description`, and a type that says
what is allowed (for a new kind of value, a type with its `Allowed`). From type and bounds comes the
"allowed" column of the documents. The recipe in docs/development.md names the other places.
"""

import functools
import math
import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)
from pydantic.fields import FieldInfo

from chalicelib.errors import SettingsError

# -- kinds of values: a reader takes a text without spaces around it; ValueError says that it is not allowed


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is allowed, in words; the bounds of a number are added."""

    words: str


def _read_boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("true", "1", "yes", "on"):
        return True
    if lowered in ("false", "0", "no", "off"):
        return False
    raise ValueError


def _plain_digits(text: str) -> str:
    # int() and float() also take "1_000" and the digits of other writing systems.
    if "_" in text or not text.isascii():
        raise ValueError
    return text


def _read_whole_number(text: str) -> int:
    return int(_plain_digits(text))


def _read_number(text: str) -> float:
    value = float(_plain_digits(text))
    if not math.isfinite(value):
        raise ValueError
    return value


def _in_lower_case(text: str) -> str:
    # Not str.lower itself: pydantic looks at the signature, and takes 5 ms for that of a built-in function.
    return text.lower()


def _read_addresses(text: str) -> tuple[Address, ...]:
    """``host:port[,host:port…]``; an IPv6 host is in brackets."""
    addresses = []
    for part in text.split(","):
        # Not a URL: what is before an @ there is a password, and addresses are logged.
        match = re.fullmatch(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", part.strip())
        if not match or not 0 < int(match[2]) < 65536:
            raise ValueError
        addresses.append(Address(match[1].strip("[]"), int(match[2])))
    return tuple(addresses)


def _split_at_commas(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _is_file_or_empty(text: str) -> str:
    if text and not os.path.isfile(text):
        raise ValueError
    return text


_whole, _number, _any_case = (
    BeforeValidator(_read_whole_number),
    BeforeValidator(_read_number),
    BeforeValidator(_in_lower_case),
)

Boolean = Annotated[bool, BeforeValidator(_read_boolean), Allowed("true or false")]
Count = Annotated[int, _whole, Allowed("a whole number")]
Mebibytes = Annotated[int, _whole, Allowed("a whole number of MiB")]
Kibibytes = Annotated[int, _whole, Allowed("a whole number of KiB")]
Hours = Annotated[float, _number, Allowed("a number of hours")]
Seconds = Annotated[float, _number, Allowed("a number of seconds")]
Addresses = Annotated[
    tuple[Address, ...],
    BeforeValidator(_read_addresses),
    Allowed("host:port, or several separated by commas"),
]
PlainName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
    Allowed("a name of letters, digits, '.', '_' and '-'"),
]
ReadableFile = Annotated[
    str,
    AfterValidator(_is_file_or_empty),
    Allowed("a readable PEM file, or empty for the system's authorities"),
]
# Neither a hash tag ({}) nor a pattern of an ACL (*, ?, []), and no space.
KeyPrefix = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{0,64}$"),
    Allowed("up to 64 letters, digits, '.', ':', '/', '_' and '-', or empty"),
]
# The engine decides what is a name; this keeps options and spaces out.
ImageName = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_./:@-]{0,254})?$"),
    Allowed("the name of a container image, or empty"),
]
# Each is a pattern over `id` or `language/id`.
Patterns = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?][a-z0-9.*?/-]{0,63}$")], ...],
    BeforeValidator(_split_at_commas),
    Allowed("ids or patterns separated by commas, such as gcc-*,cpp/clang-19"),
]


class Settings(BaseModel):
    """All settings of the API and the runner; immutable, and safe to print."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    redis_enabled: Boolean = Field(
        alias="REDIS_ENABLED",
        default=False,
        description="Keep jobs in Redis; otherwise in memory, with the workers inside the API process.",
    )
    redis_addr: Addresses = Field(
        alias="REDIS_ADDR",
        default=(Address("localhost", 6379),),
        description="Address of Redis; several for Sentinel or a cluster.",
    )
    redis_username: Annotated[str, Allowed("a user name, or empty for the default user")] = Field(
        alias="REDIS_USERNAME", default="", description="ACL user."
    )
    redis_password: Annotated[SecretStr, Allowed("a password, or empty")] = Field(
        alias="REDIS_PASSWORD", default=SecretStr(""), description="Password; never logged."
    )
    # 0–15: what an unconfigured Redis has. A cluster has database 0 only (checked below).
    redis_db: Count = Field(alias="REDIS_DB", default=0, ge=0, le=15, description="Database number.")
    redis_tls: Boolean = Field(
        alias="REDIS_TLS", default=False, description="Speak TLS to Redis, and check its certificate."
    )
    redis_tls_ca_file: ReadableFile = Field(
        alias="REDIS_TLS_CA_FILE", default="", description="Authority that signed the certificate of Redis."
    )
    redis_mode: Annotated[Literal["standalone", "sentinel", "cluster"], _any_case] = Field(
        alias="REDIS_MODE", default="standalone", description="How Redis is run."
    )
    redis_sentinel_master: PlainName = Field(
        alias="REDIS_SENTINEL_MASTER",
        default="mymaster",
        description="Name of the master that the sentinels watch.",
    )
    redis_key_prefix: KeyPrefix = Field(
        alias="REDIS_KEY_PREFIX",
        default="",
        description="What every key and channel begins with, in a Redis that is shared, such as wic:.",
    )
    # A runner needs about MAX_WORKERS * 2 + 10 connections, which is 20 for five workers.
    redis_pool_size: Count = Field(
        alias="REDIS_POOL_SIZE",
        default=20,
        ge=2,
        le=10000,
        description="Connections to Redis per process, at most.",
    )
    # A fraction is allowed, so that a test can let jobs expire within seconds; 720 h is 30 days.
    redis_job_ttl_hours: Hours = Field(
        alias="REDIS_JOB_TTL_HOURS",
        default=24.0,
        ge=0.0001,
        le=720,
        description="Hours for which a job and its result are kept.",
    )
    max_workers: Count = Field(
        alias="MAX_WORKERS",
        default=5,
        ge=1,
        le=256,
        description="Jobs a runner compiles at once; where it is not set, no more than there are cores.",
    )
    queue_size: Count = Field(
        alias="QUEUE_SIZE",
        default=100,
        ge=1,
        le=1000000,
        description="Jobs that may wait; the next one gets 429.",
    )
    # A quarter of what is free must hold the largest request, of some 2 MiB, while nothing waits.
    store_limit_mb: Mebibytes = Field(
        alias="STORE_LIMIT_MB",
        default=128,
        ge=8,
        le=1048576,
        description="MiB that the sources of waiting jobs may take; then larger requests get 429.",
    )
    # Long enough for a pause of the runner's machine or a failover of Redis, short enough to wait for.
    lease_seconds: Seconds = Field(
        alias="LEASE_SECONDS",
        default=15.0,
        ge=0.2,
        le=3600,
        description="Seconds after which a silent runner's jobs go to another.",
    )
    max_attempts: Count = Field(
        alias="MAX_ATTEMPTS",
        default=3,
        ge=1,
        le=100,
        description="Runners that may die over one job before it ends in error.",
    )
    # `docker stop` kills after 10 s, and releasing the rest takes the remaining 2 s. Set it higher where the
    # runner gets longer than that (ECS: 120 s).
    stop_grace_seconds: Seconds = Field(
        alias="STOP_GRACE_SECONDS",
        default=8.0,
        ge=0,
        le=3600,
        description="Seconds for which a runner that stops waits for its jobs; then it releases them.",
    )
    sandbox: Annotated[Literal["auto", "bubblewrap", "setpriv", "docker"], _any_case] = Field(
        alias="SANDBOX", default="auto", description="How compilers are locked in."
    )
    runner_image: ImageName = Field(
        alias="RUNNER_IMAGE",
        default="",
        description="Image with the compilers: what SANDBOX=docker runs, and what receipts name.",
    )
    compilers: Patterns = Field(
        alias="COMPILERS",
        default=("*",),
        description="Compilers that the runner offers, of those that it finds.",
    )
    compile_timeout_seconds: Seconds = Field(
        alias="COMPILE_TIMEOUT_SECONDS",
        default=30.0,
        ge=0.1,
        le=3600,
        description="Processor seconds that one compile may use.",
    )
    # g++ and clang need 150 to 300 MB for one heavy standard header, and up to 1 GB for the largest template
    # libraries. Several jobs run at once, so this is not everything that a host has.
    compile_memory_mb: Mebibytes = Field(
        alias="COMPILE_MEMORY_MB",
        default=1024,
        ge=16,
        le=1048576,
        description="Memory in MiB that one compile may use.",
    )
    # Per stream. A page of errors is 4 kB, and a template error up to 200 kB. Both streams must fit into
    # Redis and through API Gateway (10 MB). What is beyond it is read and dropped, and changes no verdict.
    output_limit_kb: Kibibytes = Field(
        alias="OUTPUT_LIMIT_KB",
        default=256,
        ge=1,
        le=16384,
        description="Output in KiB per stream that a result keeps; what is beyond it changes no verdict.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _any_case] = Field(
        alias="LOG_LEVEL", default="info", description="Least severe log line that is written."
    )
    environment: PlainName = Field(
        alias="ENVIRONMENT",
        default="development",
        description="Name of this deployment, shown in the logs.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads all settings from `environ`; raises `SettingsError` for the first wrong one.

        A variable that is set but blank counts as not set, as `.env` files do it.
        """
        texts = {
            variable.name: text
            for variable in variables()
            if (text := environ.get(variable.name, "").strip())
        }
        try:
            settings = cls.model_validate(texts)
        except ValidationError as error:
            name = error.errors(include_input=False, include_url=False)[0]["loc"][0]
            [allowed] = [variable.allowed for variable in variables() if variable.name == name]
            raise SettingsError(_sentence(str(name), texts[str(name)], allowed)) from None
        if settings.redis_mode == "cluster" and settings.redis_db != 0:
            raise SettingsError(_sentence("REDIS_DB", str(settings.redis_db), "0 when REDIS_MODE=cluster"))
        if settings.redis_mode == "standalone" and len(settings.redis_addr) > 1:
            allowed = "one address when REDIS_MODE=standalone"
            raise SettingsError(_sentence("REDIS_ADDR", settings.redis_address_text, allowed))
        return settings

    def workers_on(self, cores: int) -> int:
        """How many jobs a runner with that many cores compiles at once.

        Jobs that share a core starve each other, so exceed the core count only when MAX_WORKERS is set
        explicitly.
        """
        is_set = "max_workers" in self.model_fields_set
        return self.max_workers if is_set else max(1, min(self.max_workers, cores))

    @property
    def job_ttl_seconds(self) -> float:
        """REDIS_JOB_TTL_HOURS in seconds."""
        return self.redis_job_ttl_hours * 3600

    @property
    def store_limit_bytes(self) -> int:
        """STORE_LIMIT_MB in bytes."""
        return self.store_limit_mb * 1024 * 1024

    @property
    def redis_address_text(self) -> str:
        """The configured addresses as ``host:port,…`` for log lines and messages."""
        return ",".join(str(address) for address in self.redis_addr)

    def describe(self) -> dict[str, str]:
        """What was chosen, for the start-up log: variable → value, without any secret."""
        description = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = "set" if value.get_secret_value() else "not set"
            elif name == "redis_addr":
                value = self.redis_address_text
            description[str(field.alias)] = str(value)
        return description


def _sentence(variable: str, value: str, allowed: str) -> str:
    # A URL in the place of an address may hold a password, too.
    shown = "(hidden)" if "PASSWORD" in variable or "@" in value else repr(value)
    return f"{variable}={shown} is not allowed: it must be {allowed}"


# -- for documents and their tests


@dataclass(frozen=True, slots=True)
class Variable:
    """A setting as documentation shows it."""

    name: str
    default: str
    allowed: str
    help: str


@functools.cache
def variables() -> tuple[Variable, ...]:
    """All settings in the order of `Settings`."""
    return tuple(
        Variable(str(field.alias), _as_text(field.default), _allowed(field), str(field.description))
        for field in Settings.model_fields.values()
    )


def _allowed(field: FieldInfo) -> str:
    """What is allowed, from a field's type and bounds."""
    if get_origin(field.annotation) is Literal:
        *others, last = get_args(field.annotation)
        return f"{', '.join(others)} or {last}"
    [words] = [item.words for item in field.metadata if isinstance(item, Allowed)]
    low = [item.ge for item in field.metadata if hasattr(item, "ge")]
    high = [item.le for item in field.metadata if hasattr(item, "le")]
    return f"{words} from {low[0]} to {high[0]}" if low and high else words


def _as_text(default: Any) -> str:
    """A default as it is written into `.env`."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple):
        return ",".join(str(part) for part in default)
    return default.get_secret_value() if isinstance(default, SecretStr) else str(default)
