"""The Lua scripts: read once from this package, run by digest, sent again when Redis forgot them.

Each script touches keys of one cluster slot and may run twice with the same arguments
without harm (see `lua/prelude.lua`). Scripts rather than MULTI: they decide on what they
read, and users of ElastiCache that authenticate with IAM may not use MULTI. To add one:
a file in `lua/` whose head documents its keys, arguments and answer, and a field here.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

Argument = str | int | float


class Script:
    """One Lua script, run with EVALSHA and, the first time on a node, with EVAL."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Redis names scripts by SHA-1; it is an identifier here, not a protection.
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: Any, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Runs the script; raises what redis-py raises."""
        try:
            return client.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)


def _read(name: str) -> str:
    return files(__package__).joinpath("lua", name).read_text(encoding="utf-8")


class Scripts:
    """All scripts. The coordination scripts share a prelude and its KEYS."""

    def __init__(self) -> None:
        prelude = _read("prelude.lua")
        self.enqueue = Script(prelude + _read("enqueue.lua"))
        self.enqueue_all = Script(prelude + _read("enqueue_all.lua"))
        self.claim = Script(prelude + _read("claim.lua"))
        self.renew = Script(prelude + _read("renew.lua"))
        self.seal = Script(prelude + _read("seal.lua"))
        self.finish = Script(prelude + _read("finish.lua"))
        self.requeue = Script(prelude + _read("requeue.lua"))
        self.recover = Script(prelude + _read("recover.lua"))
        self.discard = Script(prelude + _read("discard.lua"))
        self.locate = Script(prelude + _read("locate.lua"))
        self.statuses = Script(prelude + _read("statuses.lua"))
        self.counts = Script(prelude + _read("counts.lua"))
        self.record = Script(_read("record.lua"))
        self.result = Script(_read("result.lua"))
        self.register = Script(_read("register.lua"))
