"""The user ids of runners that do not see each other: in different network namespaces, on one host."""

import contextlib
import itertools
import subprocess

from runner.sandbox.uid_pool import pool
from tests.sandbox.support import missing

# More than the hundred ranges that fit into the ids of ordinary accounts.
_NAMESPACES = 120

_ALL = "         0          0 4294967295\n"
# What an engine that maps users, or a rootless one, gives its containers.
_MAPPED = "         0     100000      65536\n"


def _ids(first: int) -> range:
    """All that a runner uses: its slots, and for each the helper's id."""
    return range(first, first + 2 * pool.SLOTS)


def test_runners_in_different_network_namespaces_never_share_a_user_id() -> None:
    """A hundred and twenty namespaces at once: no two ranges overlap, the helpers' ids included.

    Ids in common count each other's processes, and a runner outside of a container, which sees those inside,
    would end the other's jobs as leftovers of its own.
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
        firsts = sorted(pool.first_uid(inode, [_ALL, _ALL]) for inode in inodes)
    for first, following in itertools.pairwise(firsts):
        assert _ids(first).stop <= following, inodes
    # Where systemd, distributions and directory services put their users there is none of them.
    assert firsts[0] >= 0x7000_0000 and _ids(firsts[-1]).stop <= 0x7FFE_0000


def test_where_few_ids_exist_the_range_is_among_them() -> None:
    """With 65,536 ids of users or of groups a range is among them, above those that users get first."""
    for maps in ([_MAPPED, _MAPPED], [_MAPPED, _ALL], [_ALL, _MAPPED]):
        for inode in range(4_026_531_833, 4_026_531_833 + 200):
            ids = _ids(pool.first_uid(inode, maps))
            assert ids.start >= 30_000 and ids.stop <= 60_000


def test_a_slot_of_this_host_can_be_had_and_used() -> None:
    """The ids that were chosen exist here: a process can take one, as user and as group."""
    with pool.lease() as uid:
        assert pool.FIRST_UID <= uid < pool.FIRST_UID + pool.SLOTS
        try:
            ran = subprocess.run(
                ["sh", "-c", "id -u; id -g"],
                user=uid,
                group=uid,
                extra_groups=[],
                capture_output=True,
                check=True,
            )
        except PermissionError:
            return  # not root: jobs run under the runner's own id, and nobody takes another's
        assert ran.stdout.decode().split() == [str(uid)] * 2
