"""The HTTP API: Chalice routes, and nothing else.

A handler takes the request apart, calls one use case, and makes the answer; `handled` turns
errors into status codes by the table in `chalicelib/api/error_responses.py` (Chalice's middleware never sees
them). Importing this module reads no environment and connects to nothing, because
`chalice package` imports it. Under `chalice local` it also starts what is local: see `_serve_locally`.
`python app.py` is the API's container: see `chalicelib/api/production_server.py`.
"""

import atexit
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from chalice.app import Chalice, CloudWatchEvent, Rate, Request, Response

from chalicelib import bootstrap, page
from chalicelib.api import content_negotiation, error_responses
from chalicelib.api.content_negotiation import OutputFormat
from chalicelib.api.responses import ApiResponse
from chalicelib.bootstrap import Application
from chalicelib.errors import SettingsError, UnsupportedMediaType, WillItCompileError
from chalicelib.matrix.service import parse_after
from chalicelib.service import parse_wait

API = "/api/v1"
DOTENV = Path(".env")
# Chalice refuses no Content-Type by itself: `_body` does, where there is a body, and in our words.
ANY_TYPE = ["*/*"]

app = Chalice(app_name="will-it-compile")

# Chalice's own `app.current_request` is one for all threads.
_current_request: ContextVar[Request] = ContextVar("request")

_lock = threading.Lock()
_held: dict[str, Application] = {}


def application() -> Application:
    """The application, built from the environment when it is first needed."""
    with _lock:
        if "application" not in _held:
            settings = bootstrap.read_settings(os.environ, DOTENV)
            bootstrap.configure_logging(settings)
            bootstrap.log_choices(settings)
            use(bootstrap.build_application(settings))
        return _held["application"]


def use(given: Application) -> None:
    """Makes the handlers use `given`: what was built just now, or a test's own."""
    _held["application"] = given


def handled(view: Callable[..., Response]) -> Callable[..., Response]:
    """Turns every exception of a view into an answer; a stack trace goes to the log only."""

    @functools.wraps(view)
    def wrapper(*arguments: Any, **named: Any) -> Response:
        try:
            return view(*arguments, **named)
        except WillItCompileError as error:
            answer = error_responses.answer(error)
            if answer.status >= 500:
                bootstrap.logger.error("%s: %s", error.slug, error.message)
        except Exception:  # noqa: BLE001 -- the last resort: whatever happened, the client gets JSON
            bootstrap.logger.exception("unexpected error in %s", view.__name__)
            answer = error_responses.internal()
        return _json(answer.body, answer.status, answer.headers)

    return wrapper


@app.middleware("http")
def in_our_words(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Gives Chalice's own refusals (a method that a path does not have) the shape of ours."""
    token = _current_request.set(event)
    try:
        response = get_response(event)
    finally:
        _current_request.reset(token)
    if response.status_code == 405 and isinstance(response.body, dict):
        allowed = str(response.headers.get("Allow", ""))
        answer = error_responses.refusal(405, f"{response.body['Message']}; this path has {allowed}.")
        return _json(answer.body, answer.status, {"Allow": allowed})
    return response


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    fixed = {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(
        json.dumps(body, ensure_ascii=False), status_code=status, headers={**fixed, **(headers or {})}
    )


def _told(kind: str, answer: ApiResponse, form: OutputFormat) -> Response:
    """A job or a matrix, in the form that was asked for once it has ended; until then as JSON, with 202
    where what was asked for is still to come."""
    posted = _request().method == "POST"
    headers = {"Content-Type": answer.form.media_type, "Vary": "Accept"}
    if posted:
        headers["Location"] = f"{_prefix()}{API}/{kind}/{answer.id}"
    pending = 202 if posted or form is not OutputFormat.JSON else 200
    return _json(answer.body, 200 if answer.ended else pending, headers)


def _request() -> Request:
    return _current_request.get()


def _prefix() -> str:
    """What the client's path has before ours: API Gateway's stage or base path; empty when there is none."""
    request = _request()
    ours = [part for part in request.path.split("/") if part]
    theirs = [part for part in str(request.context.get("path", "")).split("/") if part]
    return "".join(f"/{part}" for part in theirs[: len(theirs) - len(ours)])


def _query(name: str) -> list[str]:
    """Every value of a query parameter."""
    query = _request().query_params
    return list(query.getlist(name)) if query and name in query else []


def _wait_seconds() -> float:
    return parse_wait(_query("wait"))


def _form() -> OutputFormat:
    return content_negotiation.wanted(_query("format"), _request().headers.get("accept"))


def _body() -> bytes:
    content_type = _request().headers.get("content-type", "application/json")
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMediaType("Send JSON, and say so: Content-Type: application/json.")
    raw = _request().raw_body
    return raw.encode() if isinstance(raw, str) else raw


@app.route(f"{API}/compile", methods=["POST"], content_types=ANY_TYPE)
@handled
def submit() -> Response:
    """Accepts a job: 202 with its id, or 200 with the result when it ended within `wait`."""
    form = _form()
    return _told("compile", application().service.submit(_body(), _wait_seconds(), form), form)


@app.route(f"{API}/compile/{{job_id}}", methods=["GET"], content_types=ANY_TYPE)
@handled
def fetch(job_id: str) -> Response:
    """The result of a job when there is one, else its status."""
    form = _form()
    return _told("compile", application().service.fetch(job_id, _wait_seconds(), form), form)


@app.route(f"{API}/compile/{{job_id}}", methods=["DELETE"], content_types=ANY_TYPE)
@handled
def cancel(job_id: str) -> Response:
    """Cancels a job: at once when it waits, by ending its compiler when it runs."""
    return _json(application().service.cancel(job_id).body)


@app.route(f"{API}/matrix", methods=["POST"], content_types=ANY_TYPE)
@handled
def submit_matrix() -> Response:
    """Accepts one source for many environments: all of its jobs, or none."""
    form, after = _form(), parse_after(_query("after"))
    answer = application().service.matrices.submit(_body(), _wait_seconds(), after, form)
    return _told("matrix", answer, form)


@app.route(f"{API}/matrix/{{matrix_id}}", methods=["GET"], content_types=ANY_TYPE)
@handled
def fetch_matrix(matrix_id: str) -> Response:
    """What a matrix has found so far, or once more than `after` of its cells have ended."""
    form, after = _form(), parse_after(_query("after"))
    answer = application().service.matrices.fetch(matrix_id, _wait_seconds(), after, form)
    return _told("matrix", answer, form)


@app.route(f"{API}/matrix/{{matrix_id}}", methods=["DELETE"], content_types=ANY_TYPE)
@handled
def cancel_matrix(matrix_id: str) -> Response:
    """Cancels the cells that have not ended."""
    return _json(application().service.matrices.cancel(matrix_id).body)


@app.route(f"{API}/environments", methods=["GET"], content_types=ANY_TYPE)
@handled
def environments() -> Response:
    """What can be compiled right now."""
    return _json(application().service.environments())


@app.route(f"{API}/workers/stats", methods=["GET"], content_types=ANY_TYPE)
@handled
def workers_stats() -> Response:
    """Figures over all runners."""
    return _json(application().service.statistics())


@app.route("/health", methods=["GET"], content_types=ANY_TYPE)
@handled
def health() -> Response:
    """Alive; asks nobody else."""
    return _json({"status": "ok"})


@app.route("/ready", methods=["GET"], content_types=ANY_TYPE)
@handled
def ready() -> Response:
    """Able to work: the store answers and a runner is there."""
    return _json(application().service.ready())


# A minute is as often as EventBridge goes; runners sweep every third of a lease, when there are any.
@app.schedule(Rate(1, unit=Rate.MINUTES))
def sweep(_event: CloudWatchEvent) -> dict[str, int]:
    """Says how much waits, and mends what dead runners and lost keys left behind, also without a runner."""
    found = application()
    # On Lambda what is printed is the function's log, which CloudWatch reads the figures from. They come
    # first: a repair that takes too long, or fails, must not keep runners from being started.
    sys.stdout.write(found.service.metrics(found.settings.environment) + "\n")
    sys.stdout.flush()
    return found.service.sweep()


@app.route("/", methods=["GET"], content_types=ANY_TYPE)
@handled
def home() -> Response:
    """The page that says what this is."""
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
        chosen = application()
    except SettingsError as error:
        _exit_with(error.message)
    if chosen.settings.redis_enabled:
        return lambda: None
    if find_spec("runner") is None:
        _exit_with(
            "REDIS_ENABLED='false' is not allowed here: it must be true, because this image has no workers"
        )
    # The one place where the API knows the runner: both are one process here.
    from runner.embedded import start as start_workers

    return start_workers(chosen.settings, chosen.store)


def _exit_with(message: str) -> NoReturn:
    sys.stderr.write(f"will-it-compile: {message}\n")
    raise SystemExit(2)


def _serve_locally() -> None:
    """Under `chalice local`: its server is hardened, and started with what it needs."""
    from chalice.local import ChaliceRequestHandler, ThreadedHTTPServer

    from chalicelib.api.local_server import exit_when_port_is_taken, harden, widen_backlog

    harden(ChaliceRequestHandler)
    widen_backlog(ThreadedHTTPServer)
    exit_when_port_is_taken(ThreadedHTTPServer)
    stop_workers = start()
    if application().settings.redis_enabled:
        return
    atexit.register(stop_workers)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _under_chalice_local(argv: list[str]) -> bool:
    # The command is the first word that is one: `chalice package --stage local` serves nothing.
    commands = (
        word for word in argv[1:] if word in ("local", "package", "deploy", "delete", "dev", "invoke")
    )
    return bool(argv) and Path(argv[0]).name == "chalice" and next(commands, "") == "local"


if _under_chalice_local(sys.argv):
    try:
        _serve_locally()
    except SystemExit as refused:
        # With autoreload Chalice imports us on a thread, and that is all that SystemExit would end.
        if threading.current_thread() is not threading.main_thread():
            sys.stderr.flush()
            os._exit(refused.code if isinstance(refused.code, int) else 1)
        raise

if __name__ == "__main__":
    from chalicelib.api.production_server import main

    sys.exit(main(app, app.routes, start))
