"""Every setting: its default, its value from `.env` and from the environment, and the values that are wrong.

One row for each variable in `CASES`, with its bounds; a variable without a row fails
`test_every_variable_has_a_case`. What is wrong for every variable of a kind is in `KINDS`, and tried with one
variable of that kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib import bootstrap
from chalicelib.errors import SettingsError
from chalicelib.settings import Settings, Variable, variables

SECRET = "correct-horse-battery"


@dataclass(frozen=True)
class Case:
    """One variable: its attribute, parsed default, two good values, and the wrong ones.

    Wrong are a value of another kind, and the nearest ones outside of the bounds. None for a free text.
    """

    attribute: str
    default: Any
    good: tuple[tuple[str, Any], tuple[str, Any]]
    wrong: tuple[str, ...]


_OFF = False

CASES = {
    "REDIS_ENABLED": Case("redis_enabled", _OFF, (("true", True), ("YES", True)), ("maybe",)),
    "REDIS_ADDR": Case(
        "redis_addr",
        (("localhost", 6379),),
        (("cache.internal:65535", (("cache.internal", 65535),)), ("[::1]:1", (("::1", 1),))),
        ("localhost", "localhost:0", "localhost:65536"),
    ),
    "REDIS_USERNAME": Case("redis_username", "", (("wic", "wic"), ("a b", "a b")), ()),
    "REDIS_PASSWORD": Case("redis_password", "", ((SECRET, SECRET), ("${x}'\"#", "${x}'\"#")), ()),
    "REDIS_DB": Case("redis_db", 0, (("3", 3), ("15", 15)), ("1.5", "-1", "16")),
    "REDIS_TLS": Case("redis_tls", _OFF, (("on", True), ("1", True)), ("rediss",)),
    "REDIS_TLS_CA_FILE": Case(
        "redis_tls_ca_file",
        "",
        ((__file__, __file__), ("pyproject.toml", "pyproject.toml")),
        ("/no/such/file",),
    ),
    "REDIS_MODE": Case(
        "redis_mode", "standalone", (("cluster", "cluster"), ("Sentinel", "sentinel")), ("clusters",)
    ),
    "REDIS_SENTINEL_MASTER": Case(
        "redis_sentinel_master", "mymaster", (("main", "main"), ("a.b_c-1", "a.b_c-1")), ("a b",)
    ),
    "REDIS_KEY_PREFIX": Case(
        "redis_key_prefix",
        "",
        (("wic:", "wic:"), ("a.b/C-d_1", "a.b/C-d_1")),
        ("{wic}", "wic*", "a b", "x" * 65),
    ),
    "REDIS_POOL_SIZE": Case("redis_pool_size", 20, (("2", 2), ("10000", 10_000)), ("2.5", "1", "10001")),
    "REDIS_JOB_TTL_HOURS": Case(
        "redis_job_ttl_hours", 24.0, (("0.0001", 0.0001), ("720", 720.0)), ("nan", "0.00009", "720.1")
    ),
    "MAX_WORKERS": Case("max_workers", 5, (("1", 1), ("256", 256)), ("1.5", "0", "257")),
    "QUEUE_SIZE": Case("queue_size", 100, (("1", 1), ("1000000", 1_000_000)), ("1.5", "0", "1000001")),
    "STORE_LIMIT_MB": Case(
        "store_limit_mb", 128, (("8", 8), ("1048576", 1_048_576)), ("7", "1.5", "1048577")
    ),
    "LEASE_SECONDS": Case("lease_seconds", 15.0, (("0.2", 0.2), ("3600", 3600.0)), ("nan", "0.19", "3600.1")),
    "MAX_ATTEMPTS": Case("max_attempts", 3, (("1", 1), ("100", 100)), ("1.5", "0", "101")),
    "STOP_GRACE_SECONDS": Case(
        "stop_grace_seconds", 8.0, (("0", 0.0), ("3600", 3600.0)), ("nan", "-0.1", "3600.1")
    ),
    "SANDBOX": Case("sandbox", "auto", (("bubblewrap", "bubblewrap"), ("Docker", "docker")), ("bwrap",)),
    "RUNNER_IMAGE": Case(
        "runner_image",
        "",
        (("runner:1", "runner:1"), ("example.org:50/a/b@sha256:0", "example.org:50/a/b@sha256:0")),
        ("-v",),
    ),
    "COMPILERS": Case(
        "compilers",
        ("*",),
        (("gcc-*, cpp/clang-19", ("gcc-*", "cpp/clang-19")), ("go-1.24", ("go-1.24",))),
        ("../x",),
    ),
    "COMPILE_TIMEOUT_SECONDS": Case(
        "compile_timeout_seconds", 30.0, (("0.1", 0.1), ("3600", 3600.0)), ("nan", "0.09", "3600.1")
    ),
    "COMPILE_MEMORY_MB": Case(
        "compile_memory_mb", 1024, (("16", 16), ("1048576", 1_048_576)), ("16.5", "15", "1048577")
    ),
    "OUTPUT_LIMIT_KB": Case("output_limit_kb", 256, (("1", 1), ("16384", 16_384)), ("1.5", "0", "16385")),
    "LOG_LEVEL": Case("log_level", "info", (("debug", "debug"), ("WARNING", "warning")), ("warn",)),
    "ENVIRONMENT": Case(
        "environment", "development", (("production", "production"), ("eu-1.b", "eu-1.b")), ("a/b",)
    ),
}

# A kind of value: one variable that has it, and what is wrong for all of them.
KINDS = {
    "true or false": ("REDIS_TLS", ("maybe", "2", "truee", "t", "null")),
    "whole number": ("REDIS_DB", ("x", "1.0", "0x10", "1_0", "١٠", "1e1", "nan", "9" * 5000)),
    "number": ("LEASE_SECONDS", ("x", "-1", "inf", "-inf", "1_0", "١", "1e999", "1,5")),
    "one of some words": ("SANDBOX", ("none", "off", "auto,docker")),
    "name": ("ENVIRONMENT", ("-x", ".x", "a b", "a" * 65, "naïve", "a\nb")),
    "file": ("REDIS_TLS_CA_FILE", ("/",)),
    "image": ("RUNNER_IMAGE", ("a b", "$(x)", "a" * 256)),
    "patterns": ("COMPILERS", ("gcc-12,", ",", "[a-z]", "a b")),
    "addresses": (
        "REDIS_ADDR",
        (
            ":6379",
            "localhost:",
            "localhost:-1",
            "localhost:x",
            "a b:6379",
            "redis://localhost:6379",
            "::1:6379",
            "localhost:6379,",
            "localhost:٦",
        ),
    ),
}

WRONG = [
    *((name, value) for name, case in CASES.items() for value in case.wrong),
    *((name, value) for name, values in KINDS.values() for value in values),
]


def _plain(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _read(environ: Mapping[str, str], dotenv: Path) -> Settings:
    return bootstrap.read_settings(environ, dotenv)


def _error(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return caught.value.message


def test_every_variable_has_a_case() -> None:
    """A new setting cannot come without a row here."""
    assert list(CASES) == [variable.name for variable in variables()]
    assert [case.attribute for case in CASES.values()] == list(Settings.model_fields)


def test_every_variable_is_explained() -> None:
    """Each setting says what it is for and what is allowed."""
    for variable in variables():
        assert isinstance(variable, Variable)
        assert variable.help.endswith("."), variable.name
        assert variable.allowed, variable.name


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("REDIS_ENABLED", "true or false"),
        ("REDIS_MODE", "standalone, sentinel or cluster"),
        ("QUEUE_SIZE", "a whole number from 1 to 1000000"),
        ("REDIS_JOB_TTL_HOURS", "a number of hours from 0.0001 to 720"),
        ("COMPILE_MEMORY_MB", "a whole number of MiB from 16 to 1048576"),
        ("REDIS_PASSWORD", "a password, or empty"),
    ],
)
def test_what_is_allowed_is_shown_with_its_bounds(name: str, allowed: str) -> None:
    """The words come from the type of the setting, and the bounds are the ones that are checked."""
    assert [variable.allowed for variable in variables() if variable.name == name] == [allowed]


@pytest.mark.parametrize("name", CASES)
def test_a_setting_that_is_not_set_has_its_default(name: str) -> None:
    """The default holds when the variable is absent, empty or blank."""
    for environ in ({}, {name: ""}, {name: " \t "}):
        assert _plain(getattr(Settings.from_env(environ), CASES[name].attribute)) == CASES[name].default


@pytest.mark.parametrize("name", CASES)
def test_a_setting_is_read_from_an_env_file_and_the_environment_wins(name: str, tmp_path: Path) -> None:
    """`.env` is read, spaces around a value do not count, and what the environment says comes first."""
    case = CASES[name]
    (in_file, from_file), (in_environ, from_environ) = case.good
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# a comment\n{name}={in_file}\n", encoding="utf-8")
    assert _plain(getattr(_read({}, dotenv), case.attribute)) == from_file
    settings = _read({name: f"  {in_environ} "}, dotenv)
    assert _plain(getattr(settings, case.attribute)) == from_environ


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda text: text[:24])
def test_a_wrong_value_is_one_line_that_names_variable_value_and_what_is_allowed(
    name: str, value: str
) -> None:
    """The message is all that an operator needs to fix it."""
    message = _error({name: value})
    allowed = next(variable.allowed for variable in variables() if variable.name == name)
    assert message.startswith(f"{name}={value!r} is not allowed: it must be ")
    assert "\n" not in message
    assert message.endswith(allowed)


@pytest.mark.parametrize(("name", "value"), [("REDIS_DB", "16"), ("SANDBOX", "none")])
def test_a_wrong_value_in_an_env_file_is_an_error_as_well(name: str, value: str, tmp_path: Path) -> None:
    """The same rules hold for a `.env` file."""
    (tmp_path / ".env").write_text(f"{name}={value}\n")
    with pytest.raises(SettingsError, match=name):
        _read({}, tmp_path / ".env")


@pytest.mark.parametrize("text", [f"redis://:{SECRET}@localhost:6379", f"user:{SECRET}@localhost:6379"])
def test_a_password_in_the_address_is_not_repeated(text: str) -> None:
    """A URL with a password in REDIS_ADDR is wrong, and the message does not show the password."""
    message = _error({"REDIS_ADDR": text})
    assert "REDIS_ADDR=(hidden)" in message
    assert SECRET not in message


def test_a_cluster_has_database_0_only() -> None:
    """REDIS_DB is checked against REDIS_MODE."""
    assert _error({"REDIS_MODE": "cluster", "REDIS_DB": "1"}) == (
        "REDIS_DB='1' is not allowed: it must be 0 when REDIS_MODE=cluster"
    )


@pytest.mark.parametrize("mode", ["sentinel", "cluster"])
def test_several_addresses_are_for_sentinels_and_clusters(mode: str) -> None:
    """A standalone Redis has one address; a second one would silently not be used."""
    settings = Settings.from_env({"REDIS_ADDR": "a:1, [::1]:2", "REDIS_MODE": mode})
    assert settings.redis_addr == (("a", 1), ("::1", 2))
    assert "one address when REDIS_MODE=standalone" in _error({"REDIS_ADDR": "a:1,b:2"})


def test_a_secret_is_in_no_text_about_the_settings() -> None:
    """Neither repr, str, describe() nor an error about another variable holds the password."""
    secret = {"REDIS_PASSWORD": SECRET}
    settings = Settings.from_env(secret)
    texts = (repr(settings), str(settings), f"{settings}", str(settings.describe()))
    assert all(SECRET not in text for text in (*texts, _error(secret | {"REDIS_DB": "x"})))
    assert settings.describe()["REDIS_PASSWORD"] == "set"
    assert Settings.from_env({}).describe()["REDIS_PASSWORD"] == "not set"


def test_settings_describe_every_variable() -> None:
    """The start-up log can show each choice."""
    assert list(Settings.from_env({}).describe()) == list(CASES)


def test_settings_cannot_be_changed() -> None:
    """What was checked stays as it was checked."""
    with pytest.raises(ValidationError):
        Settings.from_env({}).max_workers = 7  # type: ignore[misc]  # that it is an error is the claim


def test_the_time_to_live_is_there_in_seconds_as_well() -> None:
    """REDIS_JOB_TTL_HOURS counts hours; the stores count seconds."""
    assert Settings.from_env({"REDIS_JOB_TTL_HOURS": "0.5"}).job_ttl_seconds == 1800


@pytest.mark.parametrize(
    ("environ", "cores", "workers"),
    [({}, 2, 2), ({}, 64, 5), ({"MAX_WORKERS": " "}, 2, 2), ({"MAX_WORKERS": "5"}, 2, 5), ({}, 0, 1)],
)
def test_workers_default_to_no_more_than_the_cores(environ: dict[str, str], cores: int, workers: int) -> None:
    """MAX_WORKERS may be more than there are cores; the default never is."""
    assert Settings.from_env(environ).workers_on(cores) == workers
