"""The composition root: where settings come from, which store they choose, and what the log says of it."""

import io
import logging
from pathlib import Path

import pytest

from chalicelib import bootstrap
from chalicelib.errors import SettingsError
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_settings

SECRET = "correct-horse-battery"
ON_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "will-it-compile-prod"}


def _write(folder: Path, content: bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content)
    return path


def test_without_a_env_file_the_environment_is_all(tmp_path: Path) -> None:
    """No file is needed, and none of another folder is looked for."""
    assert bootstrap.read_environment({"A": "1"}, tmp_path / ".env") == {"A": "1"}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Both are read; a name that both have is the environment's, also when it is empty there."""
    dotenv = _write(tmp_path, b"A=file\nB=file\nC=file\n")
    assert bootstrap.read_environment({"A": "own", "B": ""}, dotenv) == {"A": "own", "B": "", "C": "file"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"REDIS_PASSWORD=a${HOME}b", "a${HOME}b"),
        (b"REDIS_PASSWORD='with # and \" and space'", 'with # and " and space'),
        (b"export REDIS_PASSWORD=exported", "exported"),
        (b"REDIS_PASSWORD=plain # a comment", "plain"),
        (b"\xef\xbb\xbfREDIS_PASSWORD=after a byte order mark", "after a byte order mark"),
        (b"REDIS_PASSWORD=windows\r\n", "windows"),
        (b"REDIS_PASSWORD", ""),
    ],
)
def test_a_env_file_means_what_it_says(line: bytes, value: str, tmp_path: Path) -> None:
    """Quotes, comments and `export` as usual; a dollar sign in a password is a dollar sign."""
    settings = bootstrap.read_settings({"HOME": "/elsewhere"}, _write(tmp_path, line))
    assert settings.redis_password.get_secret_value() == value


def test_a_env_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    """A file in another encoding is a wrong setting, not a traceback."""
    dotenv = _write(tmp_path, "REDIS_PASSWORD=naïve".encode("utf-16"))
    with pytest.raises(
        SettingsError, match=r"\.env cannot be read: it must be a text file in UTF-8"
    ) as caught:
        bootstrap.read_settings({}, dotenv)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("value", [None, "", "false", "no"])
def test_on_lambda_the_memory_store_is_refused(value: str | None, tmp_path: Path) -> None:
    """A function with its own memory would lose jobs, so it does not start."""
    environ = ON_LAMBDA | ({} if value is None else {"REDIS_ENABLED": value})
    with pytest.raises(
        SettingsError, match="REDIS_ENABLED='false' is not allowed on Lambda: it must be true"
    ):
        bootstrap.read_settings(environ, tmp_path / ".env")


def test_on_lambda_redis_is_accepted(tmp_path: Path) -> None:
    """With REDIS_ENABLED=true the same function starts."""
    assert bootstrap.read_settings(ON_LAMBDA | {"REDIS_ENABLED": "true"}, tmp_path / ".env").redis_enabled


def test_the_settings_choose_the_store() -> None:
    """Memory by default, Redis when it is enabled; neither connects before it is used."""
    assert isinstance(bootstrap.build_store(make_settings()), MemoryStore)
    # Port 9 (discard) is a port where no Redis is: building must not notice.
    away = bootstrap.build_store(make_settings(redis_enabled=True, redis_addr="127.0.0.1:9"))
    assert isinstance(away, RedisStore)
    away.close()


def test_an_application_is_one_store_and_its_service() -> None:
    """The service works on the store that the application holds."""
    application = bootstrap.build_application(make_settings())
    assert application.service.statistics()["queued_jobs"] == 0
    assert isinstance(application.store, MemoryStore)


def _log(**variables: object) -> str:
    """The start-up lines for these settings. The logger is put back as it was."""
    handlers, propagate, level = bootstrap.logger.handlers, bootstrap.logger.propagate, bootstrap.logger.level
    stream = io.StringIO()
    settings = make_settings(**variables)
    try:
        bootstrap.configure_logging(settings, stream)
        bootstrap.log_choices(settings)
        logging.getLogger("will_it_compile.runner").info("a line of the runner")
    finally:
        bootstrap.logger.handlers, bootstrap.logger.propagate = handlers, propagate
        bootstrap.logger.setLevel(level)
    return stream.getvalue()


def test_the_log_tells_the_choice_of_redis() -> None:
    """Enabled, address, mode, TLS, database and time to live stand in one line."""
    line = _log(redis_enabled=True, redis_addr="cache.internal:7000", redis_db=3, redis_job_ttl_hours=12)
    assert (
        "store: Redis enabled, address cache.internal:7000, mode standalone, TLS off, database 3, "
        "password not set, TTL 12 h, environment development" in line
    )


def test_the_log_tells_the_choice_of_memory() -> None:
    """Without Redis it says so, and what that means."""
    assert "store: in memory (REDIS_ENABLED=false), TTL 24 h" in _log()


def test_the_log_never_holds_the_password() -> None:
    """Not at the chattiest level either; it tells only that there is one."""
    log = _log(redis_enabled=True, redis_password=SECRET, log_level="debug")
    assert SECRET not in log
    assert "password set" in log
    assert "setting REDIS_PASSWORD=set" in log


@pytest.mark.parametrize(("level", "lines"), [("debug", True), ("info", True), ("warning", False)])
def test_log_level_decides_what_is_written(level: str, lines: bool) -> None:
    """LOG_LEVEL holds for the runner's lines as well, and each line is written once."""
    log = _log(log_level=level)
    assert log.count("a line of the runner") == int(lines)
    assert ("setting MAX_WORKERS=5" in log) == (level == "debug")
