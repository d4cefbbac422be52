"""Which runners live, and which compilers they offer.

`runner:<id>` has a TTL that each registration renews. The list of compilers is some 10 KiB and the same for
all runners of a release, so it is kept once, under its digest.
"""

import hashlib
import json
from collections.abc import Sequence

from chalicelib.models import Environment, RunnerInfo
from chalicelib.storage.redis.client import RedisClient


class RunnerRegistry:
    """The runners' part of the Redis store; see `JobStore` for what each method promises."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and which environments it offers."""
        listing = json.dumps([item.model_dump(mode="json") for item in environments], separators=(",", ":"))
        digest = hashlib.sha256(listing.encode()).hexdigest()
        information = runner.model_dump_json()
        for sent_listing in ("", listing):  # sent only when its digest is not known
            if self._run(runner.id, round(ttl_seconds * 1000), information, digest, sent_listing):
                return

    def unregister(self, runner_id: str) -> None:
        """Removes a registration."""
        self._run(runner_id, 0, "", "", "")

    def _run(self, runner_id: str, ttl_ms: int, information: str, digest: str, listing: str) -> bool:
        client, names = self._client, self._client.keys
        return client.run(
            client.scripts.register,
            runner_id,
            ttl_ms,
            information,
            digest,
            listing,
            client.ttl_ms,
            on=[names.runners, names.runner(runner_id), names.environments],
        )

    def _living(self) -> list[tuple[str, str]]:
        """(information, digest of environments) of each living runner, by id."""
        names = self._client.keys
        runner_ids = sorted(self._client.zrange(names.runners, 0, -1))
        if not runner_ids:
            return []
        with self._client.pipeline() as pipe:
            for runner_id in runner_ids:
                pipe.hmget(names.runner(runner_id), "info", "environments")
            answers = pipe.execute()
        return [(information, digest) for information, digest in answers if information]

    def runners(self) -> tuple[RunnerInfo, ...]:
        """The living runners."""
        return tuple(RunnerInfo.model_validate_json(information) for information, _ in self._living())

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, or what was offered last."""
        digests = sorted({digest for _, digest in self._living()})
        key = self._client.keys.environments
        listings = self._client.hmget(key, digests) if digests else self._client.hvals(key)
        known: dict[tuple[str, str], Environment] = {}
        for listing in listings:
            for value in json.loads(listing or "[]"):
                environment = Environment.model_validate(value)
                known[environment.language, environment.id] = environment
        return tuple(known[identity] for identity in sorted(known))

    def keep_environments(self) -> None:
        """Keeps what was offered last for another job TTL, while no runner lives."""
        self._client.pexpire(self._client.keys.environments, self._client.ttl_ms)

    def forget_old_environments(self) -> None:
        """Removes lists that no living runner offers; without a living runner the last ones stay."""
        in_use = {digest for _, digest in self._living()}
        if not in_use:
            return
        key = self._client.keys.environments
        old = set(self._client.hkeys(key)) - in_use
        if old:
            self._client.hdel(key, *old)
