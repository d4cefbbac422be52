"""A simulated AWS on a loopback port: moto's server with its gaps filled, and faults on demand.

`cloud()` is a context manager; with the variables `Cloud.env`, boto3 and chalice connect to it.
`Cloud.faults` are error responses that AWS would give. The gaps that are filled: resource types that moto's
CloudFormation lacks (`missing_resources`), operations that its services lack (`missing_operations`), what
else it cannot do with our templates (`moto_templates`), chalice's Swagger 2 (moto reads OpenAPI 3), and
stacks that fail (moto's never do).
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

from moto.cloudformation.models import Event, Stack, cloudformation_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from tests.aws import missing_operations, missing_resources
from tests.aws.moto_templates import teach_moto

REGION = "us-east-1"
# Operations on caches, which only `missing_resources` knows: the resource type, the names of the list and
# of an item in the response, and the error for an unknown name.
_CACHES = {
    "DescribeServerlessCaches": (
        "AWS::ElastiCache::ServerlessCache",
        "ServerlessCaches",
        "member",
        "ServerlessCacheNotFoundFault",
    ),
    "DescribeReplicationGroups": (
        "AWS::ElastiCache::ReplicationGroup",
        "ReplicationGroups",
        "ReplicationGroup",
        "ReplicationGroupNotFoundFault",
    ),
    "DescribeServerlessCacheSnapshots": ("", "ServerlessCacheSnapshots", "ServerlessCacheSnapshot", ""),
}


@dataclass
class Fault:
    """The first `times` calls of `service` whose operation (or `METHOD path`) matches get this error."""

    service: str
    operation: str
    code: str
    message: str = "injected"
    status: int = 400
    times: int = 1_000_000
    seen: int = 0


@dataclass
class FailingStack:
    """The next change of this stack fails as in CloudFormation: events, then a rollback."""

    name: str
    resource: str
    resource_type: str
    reason: str


@dataclass
class Cloud:
    """moto on its own port."""

    faults: list[Fault] = field(default_factory=list)
    failing: list[FailingStack] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    account: missing_operations.Account = field(default_factory=missing_operations.Account)
    port: int = 0

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which a program connects to this instead of AWS."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    # -- as a WSGI application

    def application(self, moto: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """moto, behind the faults and the filled gaps."""

        def serve(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            service, operation = _operation(environ, body)
            self.calls.append((service, operation))
            for fault in self.faults:
                if (
                    fault.service == service
                    and re.search(fault.operation, operation)
                    and fault.seen < fault.times
                ):
                    fault.seen += 1
                    return _respond_with(fault, environ, start)
            if operation == "ExecuteChangeSet" and (failing := self._failing(body)) is not None:
                _fail(failing)
                start("200 OK", [("Content-Type", "text/xml")])
                return [b"<ExecuteChangeSetResponse><ExecuteChangeSetResult/></ExecuteChangeSetResponse>"]
            answer = missing_operations.answer(self.account, REGION, service, operation, body)
            if answer is not None:
                kind = "text/xml" if answer.startswith(b"<") else "application/x-amz-json-1.1"
                start("200 OK", [("Content-Type", kind)])
                return [answer]
            if operation in _CACHES:
                return _caches(operation, body, start)
            if service == "apigateway" and environ["REQUEST_METHOD"] in ("POST", "PUT"):
                body = _as_openapi_3(body)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(body), str(len(body))
            return moto(environ, start)

        return serve

    def _failing(self, body: bytes) -> FailingStack | None:
        name = parse_qs(body.decode())["StackName"][0]
        for stack in self.failing:
            if stack.name == name:
                self.failing.remove(stack)
                return stack
        return None


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: Any) -> None:
        """Logs nothing: a deployment makes some hundred requests."""


@contextmanager
def cloud() -> Iterator[Cloud]:
    """An empty AWS; only one at a time, because moto's services are global."""
    teach_moto()
    moto_api_backend.reset()
    missing_resources.RECORDED.clear()
    aws = Cloud()
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, aws.application(moto), threaded=True, request_handler=_Quiet)
    aws.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        moto_api_backend.reset()


def _operation(environ: dict[str, Any], body: bytes) -> tuple[str, str]:
    """The service and the operation of a request; for services with paths, `METHOD path`."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    service = scope[1] if scope else ""
    if target := environ.get("HTTP_X_AMZN_TARGET") or environ.get("HTTP_X_AMZ_TARGET"):
        return service, target.rpartition(".")[2]
    # CloudWatch uses RPC over CBOR or JSON, with the operation in the path.
    if in_path := re.search(r"/operation/(\w+)$", environ["PATH_INFO"]):
        return service, in_path[1]
    if in_body := re.search(rb"(?:^|&)Action=(\w+)", body):
        return service, in_body[1].decode()
    return service, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"


def _caches(operation: str, body: bytes, start: Callable[..., Any]) -> list[bytes]:
    resource_type, list_name, item_name, fault = _CACHES[operation]
    names = {value[0] for key, value in parse_qs(body.decode()).items() if key.endswith(("Name", "GroupId"))}
    caches = names & missing_resources.RECORDED.get(resource_type, set())
    if fault and not caches:
        error = f"<Error><Type>Sender</Type><Code>{fault}</Code><Message>unknown name</Message></Error>"
        start("404 Not Found", [("Content-Type", "text/xml")])
        return [f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode()]
    items = f"<{item_name}><Status>available</Status></{item_name}>" * len(caches)
    result = f"<{operation}Result><{list_name}>{items}</{list_name}></{operation}Result>"
    start("200 OK", [("Content-Type", "text/xml")])
    return [f"<{operation}Response>{result}</{operation}Response>".encode()]


def _respond_with(fault: Fault, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    if "HTTP_X_AMZ_TARGET" in environ or fault.service in ("lambda", "apigateway"):
        response, content_type = (
            json.dumps({"__type": fault.code, "message": fault.message}),
            "application/json",
        )
    elif fault.service == "ec2":
        error = f"<Errors><Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error></Errors>"
        response, content_type = f"<Response>{error}<RequestID>1</RequestID></Response>", "text/xml"
    else:
        error = (
            f"<Error><Type>Sender</Type><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
        )
        response, content_type = f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>", "text/xml"
    start(f"{fault.status} Error", [("Content-Type", content_type), ("x-amzn-errortype", fault.code)])
    return [response.encode()]


def _as_openapi_3(body: bytes) -> bytes:
    """chalice sends Swagger 2, which AWS accepts; moto needs OpenAPI 3 with a description."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    if "swagger" not in document:
        return body
    del document["swagger"]
    document["openapi"] = "3.0.0"
    document["info"]["description"] = "as chalice sent it"
    return json.dumps(document).encode()


def stack_called(name: str) -> Stack:
    """moto's own object for a stack."""
    stacks = cloudformation_backends[DEFAULT_ACCOUNT_ID][REGION].stacks.values()
    return next(stack for stack in stacks if stack.name == name)


def _fail(failing: FailingStack) -> None:
    """Brings a stack into the state in which CloudFormation leaves it after a change that failed."""
    stack = stack_called(failing.name)
    new = stack.status == "REVIEW_IN_PROGRESS"
    action = "CREATE" if new else "UPDATE"
    for resource, resource_type, reason in (
        (failing.resource, failing.resource_type, failing.reason),
        ("Another", "AWS::EC2::Subnet", "Resource creation cancelled"),
    ):
        stack.events.append(
            Event(
                stack_id=stack.stack_id,
                stack_name=stack.name,
                logical_resource_id=resource,
                physical_resource_id="",
                resource_type=resource_type,
                resource_status=f"{action}_FAILED",
                resource_status_reason=reason,
                resource_properties=None,
            )
        )
    stack.status = "ROLLBACK_COMPLETE" if new else "UPDATE_ROLLBACK_COMPLETE"
    stack._add_stack_event(stack.status)
