"""Settings of the host's kernel that bound what no sandbox can count, where they are too wide."""

from pathlib import Path

_WATCHES = Path("/proc/sys/fs/epoll/max_user_watches")

# One file that one epoll watches, as it was measured on Linux 6.18.
_WATCH_BYTES = 200

# What a job may take on top of its limit without being a danger: the part of the limit.
_ON_TOP = 0.3

_TOO_MANY_WATCHES = (
    "a job can take {mib} MiB on top of its memory limit, for files that epoll watches: "
    "sysctl fs.epoll.max_user_watches=100000 leaves 20 MiB"
)


def weaknesses(memory_bytes: int, watches: Path = _WATCHES) -> tuple[str, ...]:
    """One sentence for each such setting, for jobs with that memory limit, where no control group counts."""
    try:
        on_top = int(watches.read_text()) * _WATCH_BYTES
    except (OSError, ValueError):
        return ()  # a kernel without it, or hidden from the runner
    if on_top <= _ON_TOP * memory_bytes:
        return ()
    return (_TOO_MANY_WATCHES.format(mib=on_top // 2**20),)
