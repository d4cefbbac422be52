"""How a rehearsal runs the contract suite: over the store that the variables name, and over no other."""

import os
import subprocess
import sys

from infra.stage import ROOT
from tests.contract import deployed
from tests.support.servers import RedisServer

# A rehearsal adds the right to empty the store to those of the service.
USER = (
    "wic on >s3cret ~job:* ~result:* ~source:* ~matrix:* ~runner:* ~runners ~environments ~stats "
    "&job:events:* -@all +@read +@write +@connection +@pubsub +@scripting +time -keys -scan -randomkey "
    "+flushall"
)


def test_the_suite_runs_over_a_deployed_store() -> None:
    """With CONTRACT_STORE=deployed every test is over that store, with TLS and the rights of the service."""
    assert deployed.kinds(("memory",)) == ("memory",), "without the variable nothing changes"
    with RedisServer(tls=True, password="admin", users=[USER]) as server:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_store.py",
             "-k", "store-deployed and submit"],
            cwd=ROOT,
            env=os.environ
            | server.environment()
            | {"REDIS_USERNAME": "wic", "REDIS_PASSWORD": "s3cret", "CONTRACT_STORE": deployed.KIND},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "failed" not in run.stdout and "skipped" not in run.stdout
