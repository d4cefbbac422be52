"""Fetches a deployed function from moto: its unpacked zip, and its variables on Lambda."""

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from tests.aws.cloud import REGION
from tests.aws.conftest import Cli
from tests.integration.test_package import Package
from tests.support.servers import RedisServer


@dataclass(frozen=True)
class DeployedFunction:
    """Its unpacked zip, its handler, and its variables."""

    package: Package
    handler: str
    env: Mapping[str, str]

    def env_with(self, redis: RedisServer) -> dict[str, str]:
        """Its variables, with the test's Redis in place of ElastiCache."""
        replaced = {
            "REDIS_MODE": "standalone",
            "REDIS_TLS": "false",
            "REDIS_USERNAME": "",
            "REDIS_PASSWORD": "",
        }
        return {**self.env, **replaced, **redis.environment()}


def fetch(cli: Cli, name: str, folder: Path) -> DeployedFunction:
    """The function called `name`, unpacked into `folder`."""
    configuration = cli.client("lambda").get_function(FunctionName=name)["Configuration"]
    stored = lambda_backends[DEFAULT_ACCOUNT_ID][REGION].get_function(name)
    code = stored.code_bytes
    assert len(code) == configuration["CodeSize"]
    assert hashlib.sha256(code).hexdigest() == stored.code_digest
    with zipfile.ZipFile(BytesIO(code)) as archive:
        archive.extractall(folder)
        names = frozenset(archive.namelist())
    print(f"the deployed zip: {len(code):,} bytes, {len(names)} files")
    assert len(code) < 10_000_000
    assert not [name for name in names if name.startswith(("boto3/", "runner/", "infra/"))]
    return DeployedFunction(
        Package(folder, folder, names), configuration["Handler"], configuration["Environment"]["Variables"]
    )
