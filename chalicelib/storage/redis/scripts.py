"""The Lua scripts, and what each of them answers.

Read once from `lua/`, run by digest, and sent again when Redis does not know the digest. Each script touches
keys of one cluster slot, and does no harm when it runs twice with the same arguments (see `lua/prelude.lua`).
Scripts rather than MULTI, because they decide on what they read, and because IAM-authenticated users of
ElastiCache may not use MULTI.

To add one: a file in `lua/` whose head documents its keys, arguments and answer, and a field in `Scripts`
with the function that decodes the answer.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from importlib.resources import files
from typing import Any, Generic, NamedTuple, TypeVar

from redis.exceptions import NoScriptError

from chalicelib.models import Status, Totals
from chalicelib.storage.protocol import Counts

Argument = str | int | float
# 18 digits are below 2**63, which Redis counts to.
_COUNTER = re.compile(r"[0-9]{1,18}")
ReplyT = TypeVar("ReplyT")


class Script(Generic[ReplyT]):
    """One Lua script, run with EVALSHA and, the first time on a node, with EVAL."""

    def __init__(self, name: str, decode: Callable[[Any], ReplyT], *, prelude: str = "") -> None:
        self.name = name
        self.text = prelude + _read(name)
        self.decode = decode
        # Redis names scripts by SHA-1; it is an identifier here, not a protection.
        self._digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, driver: Any, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Runs the script on a client of redis-py; raises what redis-py raises. `decode` reads the answer."""
        try:
            return driver.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return driver.eval(self.text, len(keys), *keys, *arguments)


def _read(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


class Scripts:
    """All scripts. The coordination scripts share a prelude and its KEYS."""

    def __init__(self) -> None:
        prelude, rename_aside = _read("prelude"), _read("rename_aside")
        self.submit = Script("submit", SubmitReply, prelude=prelude)
        self.claim = Script("claim", _claim_reply, prelude=prelude)
        self.renew = Script("renew", RenewReply.decode, prelude=prelude)
        self.release = Script("release", bool, prelude=prelude)
        self.seal = Script("seal", SealReply.decode, prelude=prelude)
        self.move_sealed = Script("move_sealed", MoveReply.decode, prelude=prelude)
        self.set_aside = Script("set_aside", tuple[str, ...], prelude=rename_aside)
        self.sweep_due = Script("sweep_due", _text_or_none, prelude=prelude)
        self.sweep = Script("sweep", SweepReply.decode, prelude=prelude)
        self.discard = Script("discard", _nothing, prelude=prelude)
        self.statuses = Script("statuses", _statuses, prelude=prelude)
        self.counts = Script("counts", _counts, prelude=prelude)
        # These run on keys of their own.
        self.update_job = Script("update_job", _mapping)
        self.write_result = Script("write_result", bool)
        self.register = Script("register", str, prelude=rename_aside)


class Seal(NamedTuple):
    """The decision how a job ends: the fencing token of the claim, and the terminal status."""

    token: int
    status: Status

    @classmethod
    def parse(cls, text: str) -> "Seal":
        """From ``<token>:<status>``, as `job:live` holds it."""
        token, _, status = text.partition(":")
        return cls(int(token), Status(status))


class SubmitReply(StrEnum):
    """See submit.lua."""

    QUEUED = "queued"
    KNOWN = "known"
    FULL = "full"
    HEAVY = "heavy"


class RenewReply(NamedTuple):
    """Ids of jobs that the runner has lost, and stream entries whose leases the caller renews itself."""

    lost: frozenset[str]
    left: list[str]

    @classmethod
    def decode(cls, answer: list[list[str]]) -> "RenewReply":
        """From the script's answer."""
        lost, left = answer
        return cls(frozenset(lost), left)


class Claimed(NamedTuple):
    """The job is this runner's, under this fencing token."""

    token: int
    attempts: int


class NotClaimed(StrEnum):
    """Why a delivered job was not claimed; see claim.lua."""

    HELD = "held"
    ENDED = "ended"
    IN_NO_SET = "in_no_set"


# A seal: the end of the job was decided, and is to be carried out.
ClaimReply = Claimed | Seal | NotClaimed


def _claim_reply(answer: list[Any]) -> ClaimReply:
    match answer:
        case ["claimed", token, attempts]:
            return Claimed(int(token), int(attempts))
        case ["sealed", seal]:
            return Seal.parse(seal)
    return NotClaimed(answer[0])


class SealOutcome(StrEnum):
    """Whether a job will end as asked for; see seal.lua."""

    SEALED = "sealed"
    OTHER_SEAL = "other_seal"
    STALE_CLAIM = "stale_claim"
    ENDED = "ended"
    IN_NO_SET = "in_no_set"


class SealReply(NamedTuple):
    """The outcome; the sealed `token` with SEALED, and with OTHER_SEAL and ENDED how the job ends instead."""

    outcome: SealOutcome
    token: int = 0
    status: Status | None = None

    @classmethod
    def decode(cls, answer: list[str]) -> "SealReply":
        """From the script's answer."""
        outcome = SealOutcome(answer[0])
        match outcome:
            case SealOutcome.SEALED:
                return cls(outcome, token=int(answer[1]))
            case SealOutcome.OTHER_SEAL:
                return cls(outcome, status=Seal.parse(answer[1]).status)
            case SealOutcome.ENDED:
                return cls(outcome, status=Status(answer[1]))
        return cls(outcome)


class MoveReply(NamedTuple):
    """Whether the job is in its terminal set, and ids from that set whose records may have expired."""

    moved: bool
    sample: list[str]

    @classmethod
    def decode(cls, answer: list[str]) -> "MoveReply":
        """From the script's answer."""
        return cls(answer[0] == "moved", answer[1:])


class SweepReply(NamedTuple):
    """Ids of jobs: released to the queue; sealed, and to be completed; with used-up attempts (and how many),
    to be completed as well. And stream entries of which some may have no lease."""

    released: list[str]
    sealed: list[tuple[str, Seal]]
    used_up: list[tuple[str, int, Seal]]
    unleased: list[str]

    @classmethod
    def decode(cls, answer: list[list[Any]] | None) -> "SweepReply | None":
        """From the script's answer; None when another sweep was due since."""
        if answer is None:
            return None
        released, sealed, used_up, unleased = answer
        return cls(
            released,
            [(job_id, Seal.parse(seal)) for job_id, seal in paired(sealed)],
            [
                (job_id, int(attempts), Seal.parse(seal))
                for job_id, attempts, seal in zip(used_up[::3], used_up[1::3], used_up[2::3], strict=True)
            ],
            unleased,
        )


def _statuses(answer: list[str]) -> list[Status | None]:
    return [Status(text) if text else None for text in answer]


def _counts(answer: list[Any]) -> Counts:
    numbers, totals, age_ms = answer
    return Counts(
        by_status=dict(zip(Status, map(int, numbers), strict=True)),
        totals=Totals.of({name.removeprefix("total_"): _counter(value) for name, value in paired(totals)}),
        oldest_queued_seconds=int(age_ms) / 1000,
    )


def _counter(text: str) -> int:
    """A number as HINCRBY writes it; 0 for anything else."""
    return int(text) if _COUNTER.fullmatch(text) else 0


def _mapping(answer: list[str]) -> dict[str, str]:
    return dict(paired(answer))


def _text_or_none(answer: str | None) -> str | None:
    return answer


def _nothing(_: Any) -> None:
    """For a script without an answer."""


def flattened(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    """Pairs as Redis takes them: name, value, name, value."""
    return [part for pair in pairs for part in pair]


def paired(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The inverse of `flattened`."""
    return list(zip(flat[::2], flat[1::2], strict=True))
