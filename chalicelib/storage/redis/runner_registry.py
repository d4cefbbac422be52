"""What runners say of themselves in Redis: who lives, and which compilers they offer.

`runner:<id>` has a TTL and is renewed with every registration; the list of compilers is some
10 KiB and the same for all runners of a release, so it is kept once, by its digest.
"""

import hashlib
import json
from collections.abc import Sequence

from chalicelib.models import Environment, RunnerInfo
from chalicelib.storage.redis.client import RedisLink
from chalicelib.storage.redis.connection import translated
from chalicelib.storage.redis.scripts import Argument


class RunnerRegistry:
    """The runners' part of the Redis store; see `JobStore` for what each method promises."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and what it offers."""
        listing = json.dumps([item.model_dump(mode="json") for item in environments], separators=(",", ":"))
        digest = hashlib.sha256(listing.encode()).hexdigest()
        information = runner.model_dump_json()
        for listed in ("", listing):  # sent only when its digest is not known
            if self._run(runner.id, round(ttl_seconds * 1000), information, digest, listed):
                return

    def unregister(self, runner_id: str) -> None:
        """Takes a registration back."""
        self._run(runner_id, 0, "", "", "")

    def _run(self, runner_id: str, ttl_ms: int, information: str, digest: str, listed: str) -> bool:
        names = self._link.keys
        script_keys = [names.runners, names.runner(runner_id), names.environments]
        arguments: list[Argument] = [runner_id, ttl_ms, information, digest, listed, self._link.ttl_ms]
        with translated(self._link.settings):
            return bool(self._link.scripts.register(self._link.client, script_keys, arguments))

    def _living(self) -> list[tuple[str, str]]:
        """(information, digest of environments) of each living runner, by id."""
        names = self._link.keys
        with translated(self._link.settings):
            runner_ids = sorted(self._link.client.zrange(names.runners, 0, -1))
            if not runner_ids:
                return []
            pipe = self._link.client.pipeline(transaction=False)
            for runner_id in runner_ids:
                pipe.hmget(names.runner(runner_id), "info", "environments")
            return [(info, digest) for info, digest in pipe.execute() if info]

    def runners(self) -> tuple[RunnerInfo, ...]:
        """The living runners."""
        return tuple(RunnerInfo.model_validate_json(info) for info, _ in self._living())

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, or what was offered last."""
        digests = sorted({digest for _, digest in self._living()})
        name = self._link.keys.environments
        with translated(self._link.settings):
            listings = self._link.client.hmget(name, digests) if digests else self._link.client.hvals(name)
        known: dict[tuple[str, str], Environment] = {}
        for listing in listings:
            for value in json.loads(listing or "[]"):
                environment = Environment.model_validate(value)
                known[environment.language, environment.id] = environment
        return tuple(known[identity] for identity in sorted(known))

    def keep_environments(self) -> None:
        """What was offered last stays known for another job TTL, while no runner lives."""
        with translated(self._link.settings):
            self._link.client.pexpire(self._link.keys.environments, self._link.ttl_ms)

    def forget_old_environments(self) -> None:
        """Drops lists that no living runner offers; the last ones stay when no runner lives."""
        in_use = {digest for _, digest in self._living()}
        if not in_use:
            return
        name = self._link.keys.environments
        with translated(self._link.settings):
            old = set(self._link.client.hkeys(name)) - in_use
            if old:
                self._link.client.hdel(name, *old)
