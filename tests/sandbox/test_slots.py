"""User ids for jobs of a root runner."""

import pwd
import subprocess
import sys
from contextlib import ExitStack

import pytest

from runner.sandbox.base import SandboxError
from runner.sandbox.uid_pool import pool


def test_leases_held_at_the_same_time_differ_and_come_back() -> None:
    """Two jobs never share a user id, and an ended job's id is free again."""
    with ExitStack() as stack:
        held = [stack.enter_context(pool.lease(59_900, 3)) for _ in range(3)]
        assert sorted(held) == [59_900, 59_901, 59_902]
        with pytest.raises(SandboxError, match="3 user ids"), pool.lease(59_900, 3):
            pass
    with pool.lease(59_900, 3) as uid:
        assert uid == 59_900


def test_a_quarantined_id_is_not_given_out_again() -> None:
    """An id whose job could not be cleared away stays taken after its lease has ended."""
    with pool.lease(59_930, 2) as uid:
        pool.quarantine(uid)
    assert uid == 59_930 and 59_930 in pool.quarantined()
    with pool.lease(59_930, 2) as other:
        assert other == 59_931
    pool.pardon(59_930)
    with pool.lease(59_930, 2) as uid:
        assert uid == 59_930


def test_an_id_that_belongs_to_somebody_is_never_leased() -> None:
    """A user of this host whose id lies in the range keeps it: their processes are not ours to end."""
    users = sorted(entry.pw_uid for entry in pwd.getpwall())
    taken = users[-1]
    with pool.lease(taken, 2) as uid:
        assert uid == taken + 1
    with pytest.raises(SandboxError), pool.lease(taken, 1):
        pass


def test_leases_hold_between_processes_and_die_with_them() -> None:
    """Another runner on the host takes another id; one that was killed holds nothing."""
    code = (
        "from runner.sandbox import slots\nwith pool.lease(59_910, 2) as uid: print(uid, flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdin is not None
    with other:
        assert other.stdout.readline() == b"59910\n"
        with pool.lease(59_910, 2) as uid:
            assert uid == 59_911
        other.kill()
        other.wait()
        with pool.lease(59_910, 2) as uid:
            assert uid == 59_910
