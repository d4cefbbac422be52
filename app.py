"""The HTTP API as a Chalice app: its routes, the scheduled sweep, and the start of `chalice local`.

A route reads the request, calls one use case and builds the response. What goes wrong is an exception, which
`with_error_responses` turns into a response by the table in `chalicelib/api/error_responses.py`: Chalice's
middleware never sees ordinary exceptions. Importing this module reads no environment variable and connects to
nothing, because `chalice package` imports it; under `chalice local` it starts the local workers as well. Run
as a program, it is the API's container: see `chalicelib/api/production_server.py`.

To add a route: a function with `@route` here, its use case in `chalicelib/service.py`, a heading in
`docs/api.md`, and a row in `chalicelib/page/home.html` if people should see it.
"""

import atexit
import contextlib
import functools
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response

from chalicelib import bootstrap, page
from chalicelib.api import error_responses, query
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse
from chalicelib.bootstrap import Application
from chalicelib.errors import NotReady, SettingsError, UnsupportedMediaType, WillItCompileError
from chalicelib.matrix.plan import MAX_CELLS
from chalicelib.outages import Outages
from chalicelib.stop_signals import StopSignals

API = "/api/v1"
DOTENV = Path(".env")

View = Callable[..., Response]

app = Chalice(app_name="will-it-compile")

# Chalice's own `app.current_request` is one for all threads.
_current_request: ContextVar[Request] = ContextVar("request")

# Of failures before there is an application.
_early_outages = Outages(bootstrap.logger)

_lock = threading.Lock()
# The last one is in use: `use` puts another on top of the one that was built from the settings.
_applications: list[Application] = []


def application() -> Application:
    """The application that routes use, built from the environment variables when it is first needed."""
    with _lock:
        if not _applications:
            settings = bootstrap.read_settings(os.environ, DOTENV)
            bootstrap.configure_logging(settings)
            bootstrap.log_choices(settings)
            _applications.append(bootstrap.build_application(settings))
        return _applications[-1]


@contextlib.contextmanager
def use(replacement: Application) -> Iterator[None]:
    """Makes the routes use another application inside a `with` block: tests bring their own."""
    _applications.append(replacement)
    try:
        yield
    finally:
        _applications.pop()


def _outages() -> Outages:
    return _applications[-1].outages if _applications else _early_outages


def with_error_responses(view: View) -> View:
    """Turns every exception of a view into a response; a stack trace goes to the log only."""

    @functools.wraps(view)
    def wrapper(*arguments: Any, **named: Any) -> Response:
        try:
            answer = view(*arguments, **named)
        except NotReady as error:
            # Said by every probe of a load balancer while no runner is there.
            _outages().failed(error.slug, view.__name__, error.message)
            response = error_responses.response_to(error)
        except WillItCompileError as error:
            response = error_responses.response_to(error)
            if response.status >= 500:
                _outages().failed(error.slug, view.__name__, error.message, level=logging.ERROR)
        except Exception:  # noqa: BLE001 -- the last resort: whatever happened, the client gets JSON
            bootstrap.logger.exception("unexpected error in %s", view.__name__)
            response = error_responses.internal_error()
        else:
            _outages().worked(view.__name__)
            return answer
        return _json_response(response.body, response.status, response.headers)

    return wrapper


def route(path: str, method: str = "GET") -> Callable[[View], View]:
    """Registers a view for one method of a path, with our responses to errors."""

    def register(view: View) -> View:
        # Any Content-Type passes Chalice: `_body` checks it where there is a body, with our own message.
        registered: View = app.route(path, methods=[method], content_types=["*/*"])(
            with_error_responses(view)
        )
        return registered

    return register


@app.middleware("http")
def reformat_405(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Gives Chalice's own response to an unsupported method the JSON fields of our errors."""
    token = _current_request.set(event)
    try:
        response = get_response(event)
    finally:
        _current_request.reset(token)
    if response.status_code == 405 and isinstance(response.body, dict):
        allowed = str(response.headers.get("Allow", ""))
        error = error_responses.error_response(
            405, f"{response.body['Message']}; this path allows {allowed}."
        )
        return _json_response(error.body, error.status, {"Allow": allowed})
    return response


def _json_response(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    fixed = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(
        json.dumps(body, ensure_ascii=False), status_code=status, headers={**fixed, **(headers or {})}
    )


def _job_response(kind: str, response: ApiResponse, requested_format: OutputFormat) -> Response:
    """A job or a matrix: 200 in the requested format once it has ended, JSON until then.

    The JSON comes with 202 after a POST, and where another format was requested.
    """
    posted = _request().method == "POST"
    headers = {"Content-Type": response.output_format.media_type, "Vary": "Accept"}
    if posted:
        headers["Location"] = f"{_prefix()}{API}/{kind}/{response.id}"
    if response.retry_after_seconds is not None:
        headers["Retry-After"] = str(response.retry_after_seconds)
    unfinished_status = 202 if posted or requested_format is not OutputFormat.JSON else 200
    return _json_response(response.body, 200 if response.ended else unfinished_status, headers)


def _request() -> Request:
    return _current_request.get()


def _prefix() -> str:
    """What comes before our path in the client's URL: API Gateway's stage or base path, or nothing."""
    request = _request()
    ours = [part for part in request.path.split("/") if part]
    theirs = [part for part in str(request.context.get("path", "")).split("/") if part]
    return "".join(f"/{part}" for part in theirs[: len(theirs) - len(ours)])


def _query_values(name: str) -> list[str]:
    """Every value of a query parameter."""
    parameters = _request().query_params
    return list(parameters.getlist(name)) if parameters and name in parameters else []


def _wait_seconds() -> float:
    return query.parse_wait(_query_values("wait"))


def _after() -> int | None:
    return query.parse_after(_query_values("after"), MAX_CELLS)


def _output_format() -> OutputFormat:
    return query.parse_format(_query_values("format"), _request().headers.get("accept"))


def _body() -> bytes:
    content_type = _request().headers.get("content-type", "application/json")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise UnsupportedMediaType(
            "The body must be JSON: send it with the header Content-Type: application/json."
        )
    raw = _request().raw_body
    return raw.encode() if isinstance(raw, str) else raw


@route(f"{API}/compile", "POST")
def submit() -> Response:
    """Submits a job: 202 with its id, or 200 with the result when it ends within `wait`."""
    output_format = _output_format()
    response = application().service.submit(_body(), _wait_seconds(), output_format)
    return _job_response("compile", response, output_format)


@route(f"{API}/compile/{{job_id}}")
def fetch(job_id: str) -> Response:
    """The result of a job that has ended, otherwise its status."""
    output_format = _output_format()
    response = application().service.fetch(job_id, _wait_seconds(), output_format)
    return _job_response("compile", response, output_format)


@route(f"{API}/compile/{{job_id}}", "DELETE")
def cancel(job_id: str) -> Response:
    """Cancels a job: a queued one at once, a running one by stopping its compiler."""
    return _json_response(application().service.cancel(job_id).body)


@route(f"{API}/matrix", "POST")
def submit_matrix() -> Response:
    """Submits one source for many environments: all of its jobs, or none."""
    output_format, after = _output_format(), _after()
    response = application().matrices.submit(_body(), _wait_seconds(), after, output_format)
    return _job_response("matrix", response, output_format)


@route(f"{API}/matrix/{{matrix_id}}")
def fetch_matrix(matrix_id: str) -> Response:
    """The matrix as far as it is known, at once or when more than `after` of its cells have ended."""
    output_format, after = _output_format(), _after()
    response = application().matrices.fetch(matrix_id, _wait_seconds(), after, output_format)
    return _job_response("matrix", response, output_format)


@route(f"{API}/matrix/{{matrix_id}}", "DELETE")
def cancel_matrix(matrix_id: str) -> Response:
    """Cancels the cells that have not ended."""
    return _json_response(application().matrices.cancel(matrix_id).body)


@route(f"{API}/environments")
def environments() -> Response:
    """What can be compiled right now."""
    return _json_response(application().service.environments())


@route(f"{API}/workers/stats")
def workers_stats() -> Response:
    """Figures over all runners."""
    return _json_response(application().service.statistics())


@route("/health")
def health() -> Response:
    """The API is alive; uses nothing else, not even the store."""
    return _json_response({"status": "ok"})


@route("/ready")
def ready() -> Response:
    """Jobs are compiled now: the store responds and a runner is alive."""
    return _json_response(application().service.ready())


# Once a minute is as often as EventBridge can; runners, if there are any, sweep every third of a lease.
@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep(_event: CloudWatchEvent) -> dict[str, int]:
    """Publishes the figures that scale the runners, then sweeps: this works also while no runner is alive."""
    current = application()
    # On Lambda standard output is the function's log, from which CloudWatch reads the figures. They come
    # first: a sweep that takes too long, or fails, must not keep runners from being started.
    sys.stdout.write(current.service.metrics(current.settings.environment) + "\n")
    sys.stdout.flush()
    return current.service.sweep()


@route("/")
def home() -> Response:
    """The web page that explains the service."""
    request = _request()
    scheme = request.headers.get("x-forwarded-proto", "http")
    host = request.headers.get("host", "127.0.0.1:8000")
    headers: dict[str, str | list[str]] = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(page.home(f"{scheme}://{host}{_prefix()}"), headers=headers)


def start() -> Callable[[], None]:
    """What a server does first: checks the settings, and starts the embedded workers.

    Returns what stops them. Ends the process, with a line that says why, when it cannot serve.
    """
    try:
        local = application()
    except SettingsError as error:
        _exit_with(error.message)
    if local.settings.redis_enabled:
        return lambda: None
    if find_spec("runner") is None:
        _exit_with(
            "REDIS_ENABLED='false' is not allowed here: it must be true, because this image has no workers"
        )
    # The one place where the API knows the runner: here both are one process.
    from runner.embedded import start as start_workers

    workers = start_workers(local.settings, local.store, os.environ)
    local.environments.prefer = workers.prefer
    return workers.stop


def _exit_with(message: str) -> NoReturn:
    sys.stderr.write(f"will-it-compile: {message}\n")
    raise SystemExit(2)


def _serve_locally() -> None:
    """Under `chalice local`: prepares its server, and starts what `start` starts."""
    from chalice.local import ChaliceRequestHandler, ThreadedHTTPServer

    from chalicelib.api.local_server import (
        exit_when_asked,
        exit_when_port_is_taken,
        harden,
        widen_backlog,
    )

    harden(ChaliceRequestHandler)
    widen_backlog(ThreadedHTTPServer)
    exit_when_port_is_taken(ThreadedHTTPServer)
    # With autoreload the signals are those of Chalice's reloader, whose thread this is.
    if threading.current_thread() is threading.main_thread():
        signals = StopSignals()
        exit_when_asked(ThreadedHTTPServer, lambda: signals.received)
    atexit.register(start())


def _under_chalice_local(argv: list[str]) -> bool:
    # The first word that is a command counts: `chalice package --stage local` serves nothing.
    commands = (
        word for word in argv[1:] if word in ("local", "package", "deploy", "delete", "dev", "invoke")
    )
    return bool(argv) and Path(argv[0]).name == "chalice" and next(commands, "") == "local"


if _under_chalice_local(sys.argv):
    try:
        _serve_locally()
    except SystemExit as exit_:
        # With autoreload Chalice imports this module on a thread, and SystemExit would end only that thread.
        if threading.current_thread() is not threading.main_thread():
            sys.stderr.flush()
            os._exit(exit_.code if isinstance(exit_.code, int) else 1)
        raise

if __name__ == "__main__":
    from chalicelib.api.production_server import main

    sys.exit(main(app, app.routes, start))
