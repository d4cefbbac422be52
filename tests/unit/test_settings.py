"""Every setting: its default, its value from `.env` and from the environment, and what it refuses.

One row per variable in `CASES`; a variable without a row fails `test_every_variable_has_a_case`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.errors import SettingsError
from chalicelib.settings import Settings, Variable, variables

SECRET = "correct-horse-battery"


@dataclass(frozen=True)
class Case:
    """What is known of one variable: its attribute, parsed default, two good values and the wrong ones."""

    attribute: str
    default: Any
    good: tuple[tuple[str, Any], tuple[str, Any]]
    # Empty for a free text, which no value can get wrong.
    wrong: tuple[str, ...]


_NOT_WHOLE = ("x", "1.5", "0x10", "1_0", "١٠", "1e1", "-1", "nan", "9" * 5000)
_NOT_A_NUMBER = ("x", "-1", "nan", "inf", "-inf", "1_0", "١", "1e999", "1,5")
_NOT_A_NAME = ("-x", ".x", "a b", "a/b", "a" * 65, "naïve", "a\nb")

_OFF = False

CASES = {
    "REDIS_ENABLED": Case(
        "redis_enabled", _OFF, (("true", True), ("YES", True)), ("maybe", "2", "truee", "null")
    ),
    "REDIS_ADDR": Case(
        "redis_addr",
        (("localhost", 6379),),
        (("cache.internal:7000", (("cache.internal", 7000),)), ("[::1]:6379", (("::1", 6379),))),
        (
            "localhost",
            ":6379",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:-1",
            "localhost:x",
            "a b:6379",
            "redis://localhost:6379",
            "::1:6379",
            "localhost:6379,",
            "localhost:٦",
            "a:1,b:2",  # several need sentinels or a cluster
        ),
    ),
    "REDIS_USERNAME": Case("redis_username", "", (("wic", "wic"), ("a b", "a b")), ()),
    "REDIS_PASSWORD": Case("redis_password", "", ((SECRET, SECRET), ("${x}'\"#", "${x}'\"#")), ()),
    "REDIS_DB": Case("redis_db", 0, (("3", 3), ("15", 15)), (*_NOT_WHOLE, "16")),
    "REDIS_TLS": Case("redis_tls", _OFF, (("on", True), ("1", True)), ("tls", "rediss")),
    "REDIS_TLS_CA_FILE": Case(
        "redis_tls_ca_file",
        "",
        ((__file__, __file__), ("pyproject.toml", "pyproject.toml")),
        ("/no/such/file", "/"),
    ),
    "REDIS_MODE": Case(
        "redis_mode", "standalone", (("cluster", "cluster"), ("Sentinel", "sentinel")), ("single", "clusters")
    ),
    "REDIS_SENTINEL_MASTER": Case(
        "redis_sentinel_master", "mymaster", (("main", "main"), ("a.b_c-1", "a.b_c-1")), _NOT_A_NAME
    ),
    "REDIS_POOL_SIZE": Case("redis_pool_size", 20, (("2", 2), ("64", 64)), (*_NOT_WHOLE, "1", "10001")),
    "REDIS_JOB_TTL_HOURS": Case(
        "redis_job_ttl_hours", 24.0, (("1", 1.0), ("0.5", 0.5)), (*_NOT_A_NUMBER, "0", "721")
    ),
    "MAX_WORKERS": Case("max_workers", 5, (("1", 1), ("256", 256)), (*_NOT_WHOLE, "0", "257")),
    "QUEUE_SIZE": Case("queue_size", 100, (("1", 1), ("1000000", 1_000_000)), (*_NOT_WHOLE, "0", "1000001")),
    "LEASE_SECONDS": Case(
        "lease_seconds", 15.0, (("0.2", 0.2), ("60", 60.0)), (*_NOT_A_NUMBER, "0.1", "3601")
    ),
    "MAX_ATTEMPTS": Case("max_attempts", 3, (("1", 1), ("100", 100)), (*_NOT_WHOLE, "0", "101")),
    "STOP_GRACE_SECONDS": Case(
        "stop_grace_seconds", 8.0, (("0", 0.0), ("90.5", 90.5)), (*_NOT_A_NUMBER, "3601")
    ),
    "SANDBOX": Case(
        "sandbox", "auto", (("bubblewrap", "bubblewrap"), ("Docker", "docker")), ("none", "bwrap", "off")
    ),
    "RUNNER_IMAGE": Case(
        "runner_image",
        "",
        (("runner:1", "runner:1"), ("example.org:50/a/b@sha256:0", "example.org:50/a/b@sha256:0")),
        ("-v", "a b", "$(x)"),
    ),
    "COMPILERS": Case(
        "compilers",
        ("*",),
        (("gcc-*, cpp/clang-19", ("gcc-*", "cpp/clang-19")), ("go-1.24", ("go-1.24",))),
        ("gcc-12,", "[a-z]", "a b", "../x"),
    ),
    "COMPILE_TIMEOUT_SECONDS": Case(
        "compile_timeout_seconds", 30.0, (("0.5", 0.5), ("60", 60.0)), (*_NOT_A_NUMBER, "0", "3601")
    ),
    "COMPILE_MEMORY_MB": Case(
        "compile_memory_mb", 1024, (("16", 16), ("2048", 2048)), (*_NOT_WHOLE, "15", "1048577")
    ),
    "OUTPUT_LIMIT_KB": Case("output_limit_kb", 256, (("1", 1), ("512", 512)), (*_NOT_WHOLE, "0", "16385")),
    "LOG_LEVEL": Case(
        "log_level", "info", (("debug", "debug"), ("WARNING", "warning")), ("verbose", "warn", "10")
    ),
    "ENVIRONMENT": Case(
        "environment", "development", (("production", "production"), ("eu-1.b", "eu-1.b")), _NOT_A_NAME
    ),
}

WRONG = [(name, value) for name, case in CASES.items() for value in case.wrong]


def _plain(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _read(environ: Mapping[str, str], dotenv: Path) -> Settings:
    return bootstrap.read_settings(environ, dotenv)


def _refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return caught.value.message


def test_every_variable_has_a_case() -> None:
    """A new setting cannot come without a row here."""
    assert list(CASES) == [variable.name for variable in variables()]
    assert [case.attribute for case in CASES.values()] == [
        item.name for item in fields(Settings) if item.metadata
    ]


def test_every_variable_is_explained() -> None:
    """Each setting says what it is for and what is allowed."""
    for variable in variables():
        assert isinstance(variable, Variable)
        assert variable.help.endswith("."), variable.name
        assert variable.allowed, variable.name


@pytest.mark.parametrize("name", CASES)
def test_a_setting_that_is_not_given_has_its_default(name: str) -> None:
    """The default holds when the variable is absent, empty or blank."""
    for environ in ({}, {name: ""}, {name: " \t "}):
        assert _plain(getattr(Settings.from_env(environ), CASES[name].attribute)) == CASES[name].default


@pytest.mark.parametrize("name", CASES)
def test_a_setting_is_read_from_a_env_file_and_the_environment_wins(name: str, tmp_path: Path) -> None:
    """`.env` is read, spaces around a value do not count, and what the environment says comes first."""
    case = CASES[name]
    (in_file, from_file), (in_environment, from_environment) = case.good
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# a comment\n{name}={in_file}\n", encoding="utf-8")
    assert _plain(getattr(_read({}, dotenv), case.attribute)) == from_file
    winner = _read({name: f"  {in_environment} "}, dotenv)
    assert _plain(getattr(winner, case.attribute)) == from_environment


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text[:24])
def test_a_wrong_value_is_one_line_that_names_variable_value_and_what_is_allowed(
    name: str, value: str
) -> None:
    """The message is all that an operator needs to mend it."""
    message = _refusal({name: value})
    allowed = next(variable.allowed for variable in variables() if variable.name == name)
    assert message.startswith(f"{name}={value!r} is not allowed: it must be ")
    assert "\n" not in message
    assert allowed in message or value == "a:1,b:2"


@pytest.mark.parametrize(("name", "value"), [("REDIS_DB", "16"), ("SANDBOX", "none")])
def test_a_wrong_value_in_a_env_file_is_refused_as_well(name: str, value: str, tmp_path: Path) -> None:
    """A `.env` file is held to the same rules."""
    (tmp_path / ".env").write_text(f"{name}={value}\n")
    with pytest.raises(SettingsError, match=name):
        _read({}, tmp_path / ".env")


@pytest.mark.parametrize("text", [f"redis://:{SECRET}@localhost:6379", f"user:{SECRET}@localhost:6379"])
def test_a_password_in_the_address_is_not_repeated(text: str) -> None:
    """Who writes a URL with a password into REDIS_ADDR finds no trace of it in the message."""
    message = _refusal({"REDIS_ADDR": text})
    assert "REDIS_ADDR=(hidden)" in message
    assert SECRET not in message


def test_a_cluster_has_database_0_only() -> None:
    """REDIS_DB and REDIS_MODE are held against each other."""
    assert _refusal({"REDIS_MODE": "cluster", "REDIS_DB": "1"}) == (
        "REDIS_DB='1' is not allowed: it must be 0 when REDIS_MODE=cluster"
    )


@pytest.mark.parametrize("mode", ["sentinel", "cluster"])
def test_several_addresses_are_for_sentinels_and_clusters(mode: str) -> None:
    """A standalone Redis has one address; a second one would silently not be used."""
    settings = Settings.from_env({"REDIS_ADDR": "a:1, [::1]:2", "REDIS_MODE": mode})
    assert settings.redis_addr == (("a", 1), ("::1", 2))
    assert "one address when REDIS_MODE=standalone" in _refusal({"REDIS_ADDR": "a:1,b:2"})


def test_a_secret_is_in_no_text_that_settings_give() -> None:
    """Neither repr, str, describe() nor a refusal of another variable holds the password."""
    secret = {"REDIS_PASSWORD": SECRET}
    settings = Settings.from_env(secret)
    texts = (repr(settings), str(settings), f"{settings}", str(settings.describe()))
    assert all(SECRET not in text for text in (*texts, _refusal(secret | {"REDIS_DB": "x"})))
    assert settings.describe()["REDIS_PASSWORD"] == "set"
    assert Settings.from_env({}).describe()["REDIS_PASSWORD"] == "not set"


def test_settings_describe_every_variable() -> None:
    """The start-up log can show each choice."""
    assert list(Settings.from_env({}).describe()) == list(CASES)


def test_settings_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(AttributeError):
        Settings.from_env({}).max_workers = 7  # type: ignore[misc]  # that it is an error is the claim


def test_the_time_to_live_is_given_in_seconds_as_well() -> None:
    """REDIS_JOB_TTL_HOURS counts hours; the stores count seconds."""
    assert Settings.from_env({"REDIS_JOB_TTL_HOURS": "0.5"}).job_ttl_seconds == 1800


@pytest.mark.parametrize(
    ("environ", "cores", "workers"),
    [({}, 2, 2), ({}, 64, 5), ({"MAX_WORKERS": " "}, 2, 2), ({"MAX_WORKERS": "5"}, 2, 5), ({}, 0, 1)],
)
def test_workers_default_to_no_more_than_the_cores(environ: dict[str, str], cores: int, workers: int) -> None:
    """Who asks for more workers than cores gets them; nobody gets them by default."""
    assert Settings.from_env(environ).workers_on(cores) == workers
