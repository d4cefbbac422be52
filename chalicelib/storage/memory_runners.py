"""What runners say of themselves to the store in memory. Its lock is held by whoever calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.models import Environment, RunnerInfo


@dataclass(frozen=True, slots=True)
class _Announcement:
    runner: RunnerInfo
    environments: tuple[Environment, ...]
    expires_at: float


class MemoryRunners:
    """The runners' part of the memory store; see `JobStore` for what each method promises."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._announcements: dict[str, _Announcement] = {}
        self._last_environments: tuple[Environment, ...] = ()

    def announce(self, runner: RunnerInfo, environments: Sequence[Environment], ttl_seconds: float) -> None:
        """Says for `ttl_seconds` that a runner lives and what it offers."""
        self._last_environments = tuple(environments)
        expires_at = self._clock() + ttl_seconds
        self._announcements[runner.id] = _Announcement(runner, self._last_environments, expires_at)

    def withdraw(self, runner_id: str) -> None:
        """Takes an announcement back."""
        self._announcements.pop(runner_id, None)

    def living(self) -> tuple[RunnerInfo, ...]:
        """The runners whose announcement has not run out, by id."""
        now = self._clock()
        for runner_id, announcement in list(self._announcements.items()):
            if announcement.expires_at <= now:
                del self._announcements[runner_id]
        return tuple(self._announcements[runner_id].runner for runner_id in sorted(self._announcements))

    def environments(self) -> tuple[Environment, ...]:
        """What the living runners offer, or what was offered last."""
        self.living()
        offers = [announcement.environments for announcement in self._announcements.values()]
        listings = offers or [self._last_environments]
        known = {(item.language, item.id): item for listing in listings for item in listing}
        return tuple(known[identity] for identity in sorted(known))
