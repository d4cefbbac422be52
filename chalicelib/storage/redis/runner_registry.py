"""Which runners live, and which compilers they offer.

`runner:<id>` has a TTL that each registration renews. The list of compilers is some 10 KiB and the same for
all runners of a release, so it is kept once, under its digest. What cannot be read is left out: each runner
writes its own part again, every few seconds, if it is not as it was sent.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence

from chalicelib.errors import StoreUnreadable
from chalicelib.models import Environment, RunnerInfo
from chalicelib.storage.redis.client import RedisClient
from chalicelib.storage.redis.unreadable import reason_of


class RunnerRegistry:
    """The runners' part of the Redis store; see `JobStore` for what each method promises."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and which environments it offers."""
        listing = json.dumps([item.model_dump(mode="json") for item in environments], separators=(",", ":"))
        digest = hashlib.sha256(listing.encode()).hexdigest()
        information = runner.model_dump_json()
        for sent_listing in ("", listing):  # sent only when it is not there as it should be
            if self._run(runner.id, round(ttl_seconds * 1000), information, digest, sent_listing) == listing:
                return

    def unregister(self, runner_id: str) -> None:
        """Removes a registration."""
        self._run(runner_id, 0, "", "", "")

    def _run(self, runner_id: str, ttl_ms: int, information: str, digest: str, listing: str) -> str:
        client, names = self._client, self._client.keys
        return client.run(
            client.scripts.register,
            runner_id,
            ttl_ms,
            information,
            digest,
            listing,
            client.ttl_ms,
            round(time.time() * 1000),
            names.set_aside,
            on=[names.runners, names.runner(runner_id), names.environments],
        )

    def _living(self) -> list[tuple[str, str, str]]:
        """(key, information, digest of environments) of each living runner, by id."""
        names = self._client.keys
        # No runner has an id that is not printable. Of bytes that are no UTF-8 a cluster's client cannot tell
        # the slot.
        runner_keys = [
            names.runner(runner_id)
            for runner_id in sorted(self._client.zrange(names.runners, 0, -1))
            if runner_id.isprintable()
        ]
        if not runner_keys:
            return []
        with self._client.pipeline() as pipe:
            for key in runner_keys:
                pipe.hmget(key, "info", "environments")
            answers = self._client.read_each(pipe)
        living = []
        for key, answer in zip(runner_keys, answers, strict=True):
            if isinstance(answer, StoreUnreadable):
                self._leave_out(key, answer)
            elif answer[0]:
                living.append((key, answer[0], answer[1] or ""))
        return living

    def _leave_out(self, key: str, error: Exception) -> None:
        self._client.unreadable.log(key, reason_of(error), "it is left out")

    def runners(self) -> tuple[RunnerInfo, ...]:
        """The living runners."""
        runners = []
        for key, information, _ in self._living():
            try:
                runners.append(RunnerInfo.model_validate_json(information))
            except ValueError as error:
                self._leave_out(key, error)
        return tuple(runners)

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, or what was offered last."""
        digests = sorted({digest for _, _, digest in self._living()})
        key = self._client.keys.environments
        listings = self._client.hmget(key, digests) if digests else self._client.hvals(key)
        known: dict[tuple[str, str], Environment] = {}
        for listing in listings:
            for environment in self._environments_in(listing or "[]"):
                known[environment.language, environment.id] = environment
        return tuple(known[identity] for identity in sorted(known))

    def _environments_in(self, listing: str) -> Iterator[Environment]:
        """Those of a listing that this release can read; a newer one may offer more."""
        key = self._client.keys.environments
        try:
            values = list(json.loads(listing))
        except (ValueError, TypeError, RecursionError) as error:
            self._leave_out(f"a list in {key}", error)
            return
        for value in values:
            try:
                environment = Environment.model_validate(value)
                environment.model_dump_json()  # raises when a text is not valid Unicode
            except ValueError as error:
                identity = value.get("id") if isinstance(value, dict) else None
                self._leave_out(f"environment {identity!r} in {key}", error)
            else:
                yield environment

    def keep_environments(self) -> None:
        """Keeps what was offered last for another job TTL, while no runner lives."""
        self._client.pexpire(self._client.keys.environments, self._client.ttl_ms)

    def forget_old_environments(self) -> None:
        """Removes lists that no living runner offers; without a living runner the last ones stay."""
        in_use = {digest for _, _, digest in self._living()}
        if not in_use:
            return
        key = self._client.keys.environments
        old = set(self._client.hkeys(key)) - in_use
        if old:
            self._client.hdel(key, *old)
