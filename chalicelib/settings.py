"""Every setting: its variable, its default, its unit, and what is allowed.

`Settings.from_env(environ)` is the only way from text to values. It reads no file and no
global; `bootstrap.py` decides which mapping it gets. A wrong value raises `SettingsError`
with one line that names the variable, the value and what is allowed; the value of a
secret is never shown. To add a setting: a field here with its metadata, a line in
`.env.example` and in the README's table (a test compares the three).
"""

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from pydantic import SecretStr

from chalicelib.errors import SettingsError
from chalicelib.setting_values import (
    Address,
    addresses,
    boolean,
    choice,
    file_or_empty,
    free_text,
    image_name,
    number,
    patterns,
    plain_name,
    whole,
)


def _variable(name: str, default: str, allowed: str, parse: Callable[[str], Any], help_text: str) -> Any:
    """A dataclass field that knows which variable it comes from and how to read it."""
    return field(
        metadata={
            "variable": name,
            "default": default,
            "allowed": allowed,
            "parse": parse,
            "help": help_text,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of the API and the runner; immutable, and safe to print."""

    redis_enabled: bool = _variable(
        "REDIS_ENABLED", "false", "true or false", boolean,
        "Keep jobs in Redis; otherwise in memory, with the workers inside the API process.",
    )  # fmt: skip
    redis_addr: tuple[Address, ...] = _variable(
        "REDIS_ADDR", "localhost:6379", "host:port, or several separated by commas", addresses,
        "Address of Redis; several for Sentinel or a cluster.",
    )  # fmt: skip
    redis_username: str = _variable(
        "REDIS_USERNAME", "", "a user name, or empty for the default user", free_text, "ACL user.",
    )  # fmt: skip
    redis_password: SecretStr = _variable(  # noqa: RUF009 -- a field, as above; the type confuses the rule
        "REDIS_PASSWORD", "", "a password, or empty", SecretStr, "Password; never logged.",
    )  # fmt: skip
    # 0–15: what an unconfigured Redis has. A cluster has database 0 only (checked below).
    redis_db: int = _variable(
        "REDIS_DB", "0", "a whole number from 0 to 15", whole(0, 15), "Database number.",
    )  # fmt: skip
    redis_tls: bool = _variable(
        "REDIS_TLS", "false", "true or false", boolean, "Speak TLS to Redis, and check its certificate.",
    )  # fmt: skip
    redis_tls_ca_file: str = _variable(
        "REDIS_TLS_CA_FILE", "", "a readable PEM file, or empty for the system's authorities", file_or_empty,
        "Authority that signed the certificate of Redis.",
    )  # fmt: skip
    redis_mode: str = _variable(
        "REDIS_MODE", "standalone", "standalone, sentinel or cluster",
        choice("standalone", "sentinel", "cluster"), "How Redis is run.",
    )  # fmt: skip
    redis_sentinel_master: str = _variable(
        "REDIS_SENTINEL_MASTER", "mymaster", "a name of letters, digits, '.', '_' and '-'", plain_name,
        "Name of the master that the sentinels watch.",
    )  # fmt: skip
    # A runner needs about MAX_WORKERS * 2 + 10 connections, which is 20 for five workers.
    redis_pool_size: int = _variable(
        "REDIS_POOL_SIZE", "20", "a whole number from 2 to 10000", whole(2, 10_000),
        "Connections to Redis per process, at most.",
    )  # fmt: skip
    # A fraction is allowed, so that a test can let jobs expire within seconds; 720 h is 30 days.
    redis_job_ttl_hours: float = _variable(
        "REDIS_JOB_TTL_HOURS", "24", "a number of hours from 0.0001 to 720", number(0.0001, 720),
        "Hours for which a job and its result are kept.",
    )  # fmt: skip
    max_workers: int = _variable(
        "MAX_WORKERS", "5", "a whole number from 1 to 256", whole(1, 256),
        "Jobs a runner compiles at once; where it is not set, no more than there are cores.",
    )  # fmt: skip
    queue_size: int = _variable(
        "QUEUE_SIZE", "100", "a whole number from 1 to 1000000", whole(1, 1_000_000),
        "Jobs that may wait; the next one gets 429.",
    )  # fmt: skip
    # Long enough for a pause of the runner's machine or a failover of Redis, short enough to wait for.
    lease_seconds: float = _variable(
        "LEASE_SECONDS", "15", "a number of seconds from 0.2 to 3600", number(0.2, 3600),
        "Seconds after which a silent runner's jobs go to another.",
    )  # fmt: skip
    max_attempts: int = _variable(
        "MAX_ATTEMPTS", "3", "a whole number from 1 to 100", whole(1, 100),
        "Runners that may die over one job before it ends in error.",
    )  # fmt: skip
    # `docker stop` kills after 10 s, and handing back needs the rest; who has longer (ECS: 120 s) says so.
    stop_grace_seconds: float = _variable(
        "STOP_GRACE_SECONDS", "8", "a number of seconds from 0 to 3600", number(0, 3600),
        "Seconds for which a runner that stops waits for its jobs; what is left is handed back.",
    )  # fmt: skip
    sandbox: str = _variable(
        "SANDBOX", "auto", "auto, bubblewrap, setpriv or docker",
        choice("auto", "bubblewrap", "setpriv", "docker"), "How compilers are locked in.",
    )  # fmt: skip
    runner_image: str = _variable(
        "RUNNER_IMAGE", "", "the name of a container image, or empty", image_name,
        "Image with the compilers: what SANDBOX=docker runs, and what receipts name.",
    )  # fmt: skip
    compilers: tuple[str, ...] = _variable(
        "COMPILERS", "*", "ids or patterns separated by commas, such as gcc-*,cpp/clang-19", patterns,
        "Compilers that the runner offers, of those that it finds.",
    )  # fmt: skip
    compile_timeout_seconds: float = _variable(
        "COMPILE_TIMEOUT_SECONDS", "30", "a number of seconds from 0.1 to 3600", number(0.1, 3600),
        "Processor seconds that one compile may use.",
    )  # fmt: skip
    # g++ needs some 300 MB for <regex> and a template-heavy file 500 MB; a runaway one is stopped here.
    compile_memory_mb: int = _variable(
        "COMPILE_MEMORY_MB", "1024", "a whole number of MiB from 16 to 1048576", whole(16, 1_048_576),
        "Memory in MiB that one compile may use.",
    )  # fmt: skip
    # Per stream; a page of template errors is about 30 KiB. More is truncated and says so.
    output_limit_kb: int = _variable(
        "OUTPUT_LIMIT_KB", "256", "a whole number of KiB from 1 to 16384", whole(1, 16_384),
        "Output in KiB per stream that one compile may print.",
    )  # fmt: skip
    log_level: str = _variable(
        "LOG_LEVEL", "info", "debug, info, warning or error",
        choice("debug", "info", "warning", "error"), "Least severe log line that is written.",
    )  # fmt: skip
    environment: str = _variable(
        "ENVIRONMENT", "development", "a name of letters, digits, '.', '_' and '-'", plain_name,
        "Name of this deployment, shown in the logs.",
    )  # fmt: skip

    # The variables that were set, and not left to their defaults.
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads all settings from `environ`; raises `SettingsError` at the first wrong one.

        A variable that is set but blank counts as not set, as `.env` files do it.
        """
        values: dict[str, Any] = {}
        for item in _variable_fields():
            meta = item.metadata
            text = environ.get(meta["variable"], "").strip() or meta["default"]
            try:
                values[item.name] = meta["parse"](text)
            except ValueError:
                raise SettingsError(_complaint(meta["variable"], text, meta["allowed"])) from None
        given = {name for name, text in environ.items() if text.strip()}
        settings = cls(**values, given=frozenset(given & {variable.name for variable in variables()}))
        if settings.redis_mode == "cluster" and settings.redis_db != 0:
            raise SettingsError(_complaint("REDIS_DB", str(settings.redis_db), "0 when REDIS_MODE=cluster"))
        if settings.redis_mode == "standalone" and len(settings.redis_addr) > 1:
            allowed = "one address when REDIS_MODE=standalone"
            raise SettingsError(_complaint("REDIS_ADDR", settings.redis_address_text, allowed))
        return settings

    def workers_on(self, cores: int) -> int:
        """How many jobs a runner with that many cores compiles at once.

        Jobs that share a core starve each other, so more of them than cores are for who asks for it.
        """
        return self.max_workers if "MAX_WORKERS" in self.given else max(1, min(self.max_workers, cores))

    @property
    def job_ttl_seconds(self) -> float:
        """REDIS_JOB_TTL_HOURS in seconds."""
        return self.redis_job_ttl_hours * 3600

    @property
    def redis_address_text(self) -> str:
        """The configured addresses as ``host:port,…`` for log lines and messages."""
        return ",".join(f"{host}:{port}" for host, port in self.redis_addr)

    def describe(self) -> dict[str, str]:
        """What was chosen, for the start-up log: variable → value, without any secret."""
        shown = {}
        for item in _variable_fields():
            value = getattr(self, item.name)
            if isinstance(value, SecretStr):
                value = "set" if value.get_secret_value() else "not set"
            elif item.name == "redis_addr":
                value = self.redis_address_text
            shown[item.metadata["variable"]] = str(value)
        return shown


def _variable_fields() -> "tuple[Field[Any], ...]":
    return tuple(item for item in fields(Settings) if item.metadata)


def _complaint(variable: str, value: str, allowed: str) -> str:
    # A URL in the place of an address may hold a password, too.
    shown = "(hidden)" if "PASSWORD" in variable or "@" in value else repr(value)
    return f"{variable}={shown} is not allowed: it must be {allowed}"


@dataclass(frozen=True, slots=True)
class Variable:
    """A setting as documentation sees it."""

    name: str
    default: str
    allowed: str
    help: str


def variables() -> tuple[Variable, ...]:
    """All settings in the order of `Settings`, for documents and their tests."""
    return tuple(
        Variable(
            name=item.metadata["variable"],
            default=item.metadata["default"],
            allowed=item.metadata["allowed"],
            help=item.metadata["help"],
        )
        for item in _variable_fields()
    )
