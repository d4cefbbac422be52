"""The composition root: settings, logging, the store that they choose, and the use cases over it.

Nothing here happens at import time, and nothing connects before it is used. The runner builds the rest of
what it needs (sandbox, toolchains, workers) in `runner/bootstrap.py`. Who builds what::

    app.py (Lambda, `chalice local`) ── build_application ──> store and use cases
    runner/cli.py ───────────────────── build_store ────────> the store in Redis
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from chalicelib.catalog import load_catalog
from chalicelib.errors import SettingsError
from chalicelib.matrix.service import MatrixService
from chalicelib.outages import Outages
from chalicelib.registrations import FIRST_REGISTRATION_SECONDS, RegisteredEnvironments
from chalicelib.service import CompileService
from chalicelib.settings import Settings
from chalicelib.storage.protocol import JobStore

logger = logging.getLogger("will_it_compile")


@dataclass(frozen=True, slots=True)
class Application:
    """What the routes need. `matrices` has the use cases of matrices, `service` all others."""

    settings: Settings
    store: JobStore
    environments: RegisteredEnvironments
    service: CompileService
    matrices: MatrixService
    # What clients get 503 for right now, so that the log says it once.
    outages: Outages = field(default_factory=lambda: Outages(logger))


def read_env(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """The variables of the process and of the `.env` file, if there is one: those of the process win.

    Raises `SettingsError`.
    """
    if not dotenv.is_file():
        return dict(environ)
    # Imported only when there is a file: Lambda has none, and its zip lacks this library.
    from dotenv import dotenv_values

    try:
        # Not interpolated: a password may contain "${". Some editors write a byte order mark first.
        from_file = dotenv_values(dotenv, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{dotenv} cannot be read: it must be a text file in UTF-8 ({error})") from None
    return {name: value or "" for name, value in from_file.items()} | dict(environ)


def read_settings(environ: Mapping[str, str], dotenv: Path) -> Settings:
    """The settings of this process. Raises `SettingsError`."""
    env = read_env(environ, dotenv)
    settings = Settings.from_env(env)
    if "AWS_LAMBDA_FUNCTION_NAME" in env and not settings.redis_enabled:
        raise SettingsError(
            "REDIS_ENABLED='false' is not allowed on Lambda: it must be true, "
            "because a function that keeps jobs in its own memory loses them"
        )
    return settings


def build_store(settings: Settings) -> JobStore:
    """The job store that the settings choose; it connects when it is first used."""
    if settings.redis_enabled:
        from chalicelib.storage.redis.store import RedisStore

        return RedisStore(settings)
    from chalicelib.storage.memory import MemoryStore

    return MemoryStore(settings)


def build_application(
    settings: Settings,
    store: JobStore | None = None,
    *,
    registration_patience_seconds: float = FIRST_REGISTRATION_SECONDS,
) -> Application:
    """The application for these settings, over the store that they choose or over `store`."""
    store = store or build_store(settings)
    catalog = load_catalog()
    environments = RegisteredEnvironments(store, patience_seconds=registration_patience_seconds)
    return Application(
        settings=settings,
        store=store,
        environments=environments,
        service=CompileService(store, catalog, environments),
        matrices=MatrixService(store, catalog, environments),
    )


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Sends this service's log lines, from LOG_LEVEL upwards, to standard error (or `stream`)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    # Chalice and Lambda have handlers at the root logger: without this each line would appear twice.
    logger.propagate = False
    logger.setLevel(settings.log_level.upper())


def log_choices(settings: Settings) -> None:
    """Logs at start-up which store was chosen and, at debug level, all settings; never a secret."""
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
