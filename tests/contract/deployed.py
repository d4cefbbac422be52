"""The contract suite over a deployed store: the one that the variables REDIS_* of this process name.

`python -m infra rehearse` runs it like that inside the network of a stage, with a user that may empty the
store. The store must be nobody else's: each test empties it.
"""

import os
from collections.abc import Sequence

from chalicelib.settings import Settings
from chalicelib.storage.redis.client import connect
from tests.contract.support import MakeStore
from tests.support.stores import redis_store

KIND = "deployed"


def kinds(local: Sequence[str]) -> Sequence[str]:
    """The stores to test: with CONTRACT_STORE=deployed only that one."""
    return (KIND,) if os.environ.get("CONTRACT_STORE") == KIND else local


def factory() -> MakeStore:
    """Empties the store; returns what opens it."""
    env = {name: value for name, value in os.environ.items() if name.startswith("REDIS_")}
    driver = connect(Settings.from_env(env), pool_size=2)
    driver.flushall()
    driver.close()
    return lambda **variables: redis_store(env, **variables)
