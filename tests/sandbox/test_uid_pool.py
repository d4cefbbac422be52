"""User ids for the jobs of a root runner: leases, ranges, and ending what runs under an id.

The ids of most tests are outside of the range that runners on a host lease, so that no job is touched.
"""

import contextlib
import itertools
import os
import pwd
import subprocess
import sys
from contextlib import ExitStack

import pytest

from runner.sandbox.base import SandboxError
from runner.sandbox.procfs import processes_of_user
from runner.sandbox.uid_pool import pool, uid_cleanup, uid_usage
from runner.sandbox.uid_pool.killer import Killer
from tests.support.servers.tools import wait_until
from tests.support.skipping import missing

# More than the hundred ranges that fit into the ids of ordinary accounts.
_NAMESPACES = 120

# uid_map of a host, and of a container whose engine maps users or is rootless.
_ALL_IDS = "         0          0 4294967295\n"
_FEW_IDS = "         0     100000      65536\n"


@pytest.fixture
def root() -> None:
    """Only root can start processes under another user id. The suite in a container runs as root."""
    if os.geteuid() != 0:
        missing("starting processes under another user id takes root")


# Leases


def test_leases_held_at_the_same_time_differ_and_are_given_again() -> None:
    """Two jobs never share a user id, and the id of a job that has ended is free again."""
    with ExitStack() as stack:
        held = [stack.enter_context(pool.lease(59_900, 3)) for _ in range(3)]
        assert sorted(held) == [59_900, 59_901, 59_902]
        with pytest.raises(SandboxError, match="3 user ids"), pool.lease(59_900, 3):
            pass
    with pool.lease(59_900, 3) as uid:
        assert uid == 59_900


def test_a_quarantined_id_is_not_leased_again() -> None:
    """An id whose job could not be cleared away stays taken after its lease, until its quarantine ends."""
    with pool.lease(59_930, 2) as uid:
        pool.quarantine(uid)
    assert uid == 59_930 and 59_930 in pool.quarantined()
    with pool.lease(59_930, 2) as other:
        assert other == 59_931
    pool.end_quarantine(59_930)
    with pool.lease(59_930, 2) as uid:
        assert uid == 59_930


def test_an_id_of_a_user_of_this_host_is_never_leased() -> None:
    """An account keeps its id even inside the range: its processes are not ours to end."""
    taken = max(entry.pw_uid for entry in pwd.getpwall())
    with pool.lease(taken, 2) as uid:
        assert uid == taken + 1
    with pytest.raises(SandboxError), pool.lease(taken, 1):
        pass


def test_leases_hold_between_processes_and_end_with_them() -> None:
    """Another runner on the host gets another id; one that was killed holds nothing."""
    code = (
        "from runner.sandbox.uid_pool import pool\n"
        "with pool.lease(59_910, 2) as uid: print(uid, flush=True); input()"
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


# Ranges: runners in different network namespaces on one host do not see each other's leases


def _ids(first: int) -> range:
    """All ids that a runner uses: those of its jobs, and for each the helper's."""
    return range(first, first + 2 * pool.POOL_SIZE)


def test_runners_in_different_network_namespaces_never_share_a_user_id() -> None:
    """In 120 namespaces at once no two ranges overlap, the ids of the helpers included.

    The kernel counts the processes of an id all over the host. With ids in common, a runner on the host would
    see the jobs of a runner in a container, and kill them as leftovers of its own.
    """
    code = "stat -Lc %i /proc/self/ns/net; read -r _"
    with contextlib.ExitStack() as stack:
        inodes = []
        for _ in range(_NAMESPACES):
            process = stack.enter_context(
                subprocess.Popen(
                    ["unshare", "--map-root-user", "--net", "sh", "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            )
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                missing("network namespaces cannot be made on this host")
            inodes.append(int(line))
        firsts = sorted(pool.first_uid(inode, [_ALL_IDS, _ALL_IDS]) for inode in inodes)
    for first, following in itertools.pairwise(firsts):
        assert _ids(first).stop <= following, inodes
    # Outside of the ids that systemd, distributions and directory services use.
    assert firsts[0] >= 0x7000_0000 and _ids(firsts[-1]).stop <= 0x7FFE_0000


def test_where_only_few_ids_exist_the_range_is_among_them() -> None:
    """With 65,536 ids of users or of groups the range is among these, above those that accounts get first."""
    for maps in ([_FEW_IDS, _FEW_IDS], [_FEW_IDS, _ALL_IDS], [_ALL_IDS, _FEW_IDS]):
        for inode in range(4_026_531_833, 4_026_531_833 + 200):
            ids = _ids(pool.first_uid(inode, maps))
            assert ids.start >= 30_000 and ids.stop <= 60_000


def test_an_id_of_this_runner_can_be_leased_and_used(root: None) -> None:
    """The ids that were chosen for this host exist on it: a process can take one, as user and as group."""
    with pool.lease() as uid:
        assert pool.FIRST_UID <= uid < pool.FIRST_UID + pool.POOL_SIZE
        command = ["sh", "-c", "id -u; id -g"]
        ran = subprocess.run(command, user=uid, group=uid, extra_groups=[], capture_output=True, check=True)
        assert ran.stdout.decode().split() == [str(uid)] * 2


# Ending what runs under an id


class _PowerlessKiller(Killer):
    """A killer that kills nothing, as if the kernel could not."""

    def kill_all_of(self, uid: int) -> None:
        """Do nothing."""


def test_an_id_that_cannot_be_cleared_is_an_error(root: None) -> None:
    """A process that survives is an error within a bounded time; once it has ended the id is clear."""
    with pool.lease(59_940, 1) as uid:
        stuck = subprocess.Popen(["sleep", "600"], user=uid, group=uid)
        with pytest.raises(SandboxError, match="survived"):
            uid_cleanup.clear(uid, _PowerlessKiller(), seconds=0.1)
        stuck.kill()
        stuck.wait()
        uid_cleanup.clear(uid, _PowerlessKiller(), seconds=0.1)


def test_the_killer_never_takes_the_id_of_root() -> None:
    """Nobody can ask for a signal to everything that root runs."""
    with pytest.raises(ValueError, match="root"):
        Killer().kill_all_of(0)


def test_the_killer_ends_what_a_user_runs_and_nothing_else() -> None:
    """Every process of the id is gone, zombies included; the runner and all others live on."""
    if os.geteuid() != 0:
        with pytest.raises(SandboxError, match="the runner must be root"):
            Killer().kill_all_of(59_960)
        missing("starting processes under another user id takes root")
    with pool.lease(59_960, 1) as uid:
        mine = subprocess.Popen(["sleep", "600"])
        theirs = [
            subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"], user=uid, group=uid)
            for _ in range(3)
        ]
        wait_until(lambda: len(processes_of_user(uid)) == 9, "nine processes of the user id")
        Killer().kill_all_of(uid)
        assert [process.wait(60) for process in theirs] == [-9] * 3
        uid_cleanup.clear(uid, Killer())
        assert processes_of_user(uid) == [] and mine.poll() is None
        mine.kill()
        mine.wait()


def test_the_killer_slows_down_what_a_user_runs_and_nothing_else(root: None) -> None:
    """Every process of the id gets the niceness, which is not lowered again; the runner keeps its own."""
    with pool.lease(59_980, 1) as uid:
        theirs = [subprocess.Popen(["sleep", "600"], user=uid, group=uid) for _ in range(3)]
        try:
            Killer().slow_down(uid, 7)
            assert {os.getpriority(os.PRIO_PROCESS, process.pid) for process in theirs} == {7}
            assert uid_usage.UidUsage(uid, 0).sample().nice == 7
            Killer().slow_down(uid, 3)
            assert {os.getpriority(os.PRIO_PROCESS, process.pid) for process in theirs} <= {3, 7}
            assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == 0
        finally:
            Killer().kill_all_of(uid)
            for process in theirs:
                process.wait()


def test_a_starting_runner_ends_what_a_dead_one_left_and_no_living_ones_jobs(root: None) -> None:
    """Orphans under ids that nobody has leased are killed, and only they."""
    # Two ids that other tests do not use: leases begin at the other end.
    uids = range(pool.FIRST_UID + pool.POOL_SIZE - 2, pool.FIRST_UID + pool.POOL_SIZE)
    with pool.lease(uids[1], 1) as held:
        living = subprocess.Popen(["sleep", "600"], user=held, group=held)
        for uid in uids:
            subprocess.run(["sh", "-c", "sleep 601 &"], user=uid, group=uid, check=True)
        assert [len(processes_of_user(uid)) for uid in uids] == [1, 2]
        uid_cleanup.sweep(Killer())
        assert [len(processes_of_user(uid)) for uid in uids] == [0, 2]
        Killer().kill_all_of(held)
        living.wait()
