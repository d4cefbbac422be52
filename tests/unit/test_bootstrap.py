"""The composition root: where settings come from, which store they choose, and what the log says about it."""

import io
import logging
from pathlib import Path

import pytest

from chalicelib import bootstrap
from chalicelib.errors import SettingsError
from chalicelib.models import Status
from chalicelib.storage.memory import MemoryStore
from chalicelib.storage.redis.store import RedisStore
from tests.support.factories import make_environment, make_runner, make_settings
from tests.support.services import body_of

SECRET = "correct-horse-battery"
ON_LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "will-it-compile-prod"}


def _write(folder: Path, content: bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content)
    return path


def test_without_a_dotenv_file_only_the_process_has_variables(tmp_path: Path) -> None:
    """The file is optional, and no other folder is searched for it."""
    assert bootstrap.read_env({"A": "1"}, tmp_path / ".env") == {"A": "1"}


def test_a_variable_of_the_process_wins_over_the_file(tmp_path: Path) -> None:
    """Both are read; where both have a name the process wins, also with an empty value."""
    dotenv = _write(tmp_path, b"A=file\nB=file\nC=file\n")
    assert bootstrap.read_env({"A": "own", "B": ""}, dotenv) == {"A": "own", "B": "", "C": "file"}


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
def test_a_dotenv_file_means_what_it_says(line: bytes, value: str, tmp_path: Path) -> None:
    """Quotes, comments and `export` as usual; a dollar sign in a password is a dollar sign."""
    settings = bootstrap.read_settings({"HOME": "/elsewhere"}, _write(tmp_path, line))
    assert settings.redis_password.get_secret_value() == value


def test_a_dotenv_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    """A file in another encoding is a wrong setting, not a traceback."""
    dotenv = _write(tmp_path, "REDIS_PASSWORD=naïve".encode("utf-16"))
    with pytest.raises(
        SettingsError, match=r"\.env cannot be read: it must be a text file in UTF-8"
    ) as caught:
        bootstrap.read_settings({}, dotenv)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("value", [None, "", "false", "no"])
def test_the_memory_store_is_not_allowed_on_lambda(value: str | None, tmp_path: Path) -> None:
    """A function that keeps jobs in its own memory would lose them, so it does not start."""
    environ = ON_LAMBDA | ({} if value is None else {"REDIS_ENABLED": value})
    with pytest.raises(
        SettingsError, match="REDIS_ENABLED='false' is not allowed on Lambda: it must be true"
    ):
        bootstrap.read_settings(environ, tmp_path / ".env")


def test_redis_is_allowed_on_lambda(tmp_path: Path) -> None:
    """With REDIS_ENABLED=true the same function starts."""
    assert bootstrap.read_settings(ON_LAMBDA | {"REDIS_ENABLED": "true"}, tmp_path / ".env").redis_enabled


def test_the_settings_choose_the_store() -> None:
    """Memory by default, Redis when it is enabled; neither connects before it is used."""
    assert isinstance(bootstrap.build_store(make_settings()), MemoryStore)
    # Redis is not on port 9 (discard), and building the store must not notice.
    unreachable = bootstrap.build_store(make_settings(redis_enabled=True, redis_addr="127.0.0.1:9"))
    assert isinstance(unreachable, RedisStore)
    unreachable.close()


def test_an_application_is_one_store_and_the_use_cases_over_it() -> None:
    """Jobs and matrices are in the same store: the one of the settings, or a given one."""
    application = bootstrap.build_application(make_settings())
    assert isinstance(application.store, MemoryStore)
    application.store.register(make_runner(), [make_environment()], ttl_seconds=60)
    application.service.submit(body_of())
    application.matrices.submit(body_of())
    assert application.store.counts().by_status[Status.QUEUED] == 2
    assert bootstrap.build_application(make_settings(), application.store).store is application.store


def _log(**variables: object) -> str:
    """The start-up lines for these settings. The logger is restored afterwards."""
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


def test_the_log_says_that_redis_was_chosen() -> None:
    """One line has the address, mode, TLS, database and time to live."""
    line = _log(redis_enabled=True, redis_addr="cache.internal:7000", redis_db=3, redis_job_ttl_hours=12)
    assert (
        "store: Redis enabled, address cache.internal:7000, mode standalone, TLS off, database 3, "
        "password not set, TTL 12 h, environment development" in line
    )


def test_the_log_says_that_memory_was_chosen() -> None:
    """The line says so, with the time to live."""
    assert "store: in memory (REDIS_ENABLED=false), TTL 24 h" in _log()


def test_the_log_never_has_the_password() -> None:
    """Not even at debug level; it says only that there is one."""
    log = _log(redis_enabled=True, redis_password=SECRET, log_level="debug")
    assert SECRET not in log
    assert "password set" in log
    assert "setting REDIS_PASSWORD=set" in log


@pytest.mark.parametrize(("level", "lines"), [("debug", True), ("info", True), ("warning", False)])
def test_log_level_decides_what_is_written(level: str, lines: bool) -> None:
    """LOG_LEVEL also counts for the lines of the runner, and each line is written once."""
    log = _log(log_level=level)
    assert log.count("a line of the runner") == int(lines)
    assert ("setting MAX_WORKERS=5" in log) == (level == "debug")
