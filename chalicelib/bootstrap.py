"""The composition root: the only module that chooses adapters.

From an environment to a running application: settings, store, service, logging. Nothing
here happens at import time, and nothing connects before it is used. Who builds what::

    app.py (Lambda, `chalice local`) ── build_application ──> settings, store, service
    runner/__main__.py ──────────────── build_store ────────> the store in Redis
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from chalicelib.catalog import load_catalog
from chalicelib.errors import SettingsError
from chalicelib.service import CompileService
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore

logger = logging.getLogger("will_it_compile")


@dataclass(frozen=True, slots=True)
class Application:
    """What the handlers need."""

    settings: Settings
    store: JobStore
    service: CompileService


def read_environment(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """The process's environment over that of a `.env` file, if there is one. Raises `SettingsError`."""
    if not dotenv.is_file():
        return dict(environ)
    # Only where there is a file: the Lambda has none, and its zip does not hold this library.
    from dotenv import dotenv_values

    try:
        # Nothing is expanded: a password may hold "${". Some editors write a byte order mark.
        texts = dotenv_values(dotenv, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{dotenv} cannot be read: it must be a text file in UTF-8 ({error})") from None
    return {name: value or "" for name, value in texts.items()} | dict(environ)


def read_settings(environ: Mapping[str, str], dotenv: Path) -> Settings:
    """The settings of this process. Raises `SettingsError`."""
    variables = read_environment(environ, dotenv)
    settings = Settings.from_env(variables)
    if "AWS_LAMBDA_FUNCTION_NAME" in variables and not settings.redis_enabled:
        raise SettingsError(
            "REDIS_ENABLED='false' is not allowed on Lambda: it must be true, "
            "because a function that keeps jobs in its own memory loses them"
        )
    return settings


def build_store(settings: Settings) -> JobStore:
    """The job store that the settings ask for; it connects when it is first used."""
    if settings.redis_enabled:
        from chalicelib.storage.redis.store import RedisStore

        return RedisStore(settings)
    from chalicelib.storage.memory import MemoryStore

    return MemoryStore(settings)


def build_application(settings: Settings) -> Application:
    """Everything that the handlers need, for these settings."""
    store = build_store(settings)
    return Application(settings, store, CompileService(store, load_catalog()))


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Log lines of this service, from LOG_LEVEL upwards, on standard error (or `stream`)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    # The root logger is the host's (Chalice and Lambda have their own): each line once.
    logger.propagate = False
    logger.setLevel(settings.log_level.upper())


def log_choices(settings: Settings) -> None:
    """The start-up line about the store, and all settings at debug level; never a secret."""
    if settings.redis_enabled:
        logger.info(
            "store: Redis enabled, address %s, mode %s, TLS %s, database %d, password %s, TTL %g h, "
            "environment %s",
            settings.redis_address_text,
            settings.redis_mode,
            "on" if settings.redis_tls else "off",
            settings.redis_db,
            settings.describe()["REDIS_PASSWORD"],
            settings.redis_job_ttl_hours,
            settings.environment,
        )
    else:
        logger.info(
            "store: in memory (REDIS_ENABLED=false), TTL %g h, environment %s; jobs end with this process",
            settings.redis_job_ttl_hours,
            settings.environment,
        )
    for variable, value in settings.describe().items():
        logger.debug("setting %s=%s", variable, value)
