"""What runners say of themselves to the store in memory. Its lock is held by whoever calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.models import Environment, RunnerInfo


@dataclass(frozen=True, slots=True)
class _Registration:
    runner: RunnerInfo
    environments: tuple[Environment, ...]
    expires_at: float


class MemoryRunners:
    """The runners' part of the memory store; see `JobStore` for what each method promises."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._registrations: dict[str, _Registration] = {}
        self._last_environments: tuple[Environment, ...] = ()

    def register(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and what it offers."""
        self._last_environments = tuple(environments)
        expires_at = self._clock() + ttl_seconds
        self._registrations[runner.id] = _Registration(runner, self._last_environments, expires_at)

    def unregister(self, runner_id: str) -> None:
        """Takes a registration back."""
        self._registrations.pop(runner_id, None)

    def living(self) -> tuple[RunnerInfo, ...]:
        """The runners whose registration has not run out, by id."""
        now = self._clock()
        for runner_id, registration in list(self._registrations.items()):
            if registration.expires_at <= now:
                del self._registrations[runner_id]
        return tuple(self._registrations[runner_id].runner for runner_id in sorted(self._registrations))

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, or what was offered last."""
        self.living()
        offers = [registration.environments for registration in self._registrations.values()]
        listings = offers or [self._last_environments]
        known = {(item.language, item.id): item for listing in listings for item in listing}
        return tuple(known[identity] for identity in sorted(known))
