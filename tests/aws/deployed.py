"""A function that moto keeps: fetched, unpacked, and the environment it would have on Lambda."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from tests.aws.cloud import REGION
from tests.aws.conftest import Desk
from tests.integration.test_package import Package
from tests.support.servers import RedisServer


@dataclass(frozen=True)
class Deployed:
    """Its unpacked zip, its handler, and the variables that it was given."""

    package: Package
    handler: str
    given: Mapping[str, str]

    def over(self, redis: RedisServer) -> dict[str, str]:
        """Its variables, with the server of the test in place of ElastiCache's."""
        replaced = {
            "REDIS_MODE": "standalone",
            "REDIS_TLS": "false",
            "REDIS_USERNAME": "",
            "REDIS_PASSWORD": "",
        }
        return {**self.given, **replaced, **redis.environment()}


def fetch(desk: Desk, name: str, folder: Path) -> Deployed:
    """The function called `name`, unpacked into `folder`."""
    described = desk.client("lambda").get_function(FunctionName=name)["Configuration"]
    kept = lambda_backends[DEFAULT_ACCOUNT_ID][REGION].get_function(name)
    code = kept.code_bytes
    assert len(code) == described["CodeSize"] and hashlib.sha256(code).hexdigest() == kept.code_digest
    with zipfile.ZipFile(BytesIO(code)) as archive:
        archive.extractall(folder)
        names = frozenset(archive.namelist())
    print(f"the deployed zip: {len(code):,} bytes, {len(names)} files")
    assert len(code) < 10_000_000
    assert not [name for name in names if name.startswith(("boto3/", "runner/", "infra/"))]
    return Deployed(
        Package(folder, folder, names), described["Handler"], described["Environment"]["Variables"]
    )
