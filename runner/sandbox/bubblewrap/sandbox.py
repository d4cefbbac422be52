"""The bubblewrap sandbox: fresh namespaces, a root of its own, nothing of the host but /usr.

A run is the chain `bwrap … -- timeout … prlimit … -- sh … argv`, as an unprivileged user even when the
runner is root; bwrap puts the system call filter on it last of all. Inside:

- /usr is read-only (with /bin, /lib and the like as the host has them); there is no /proc, no
  /etc but the alternatives that compilers are reached through, no home, no network;
- /work and /tmp are file systems in memory with a size of their own. The job's files are copied
  into /work through descriptors, so nothing that a job writes ever reaches the host;
- `timeout` is process 1: it gives the compiler ordinary signals and its end is the end of the
  whole process tree, since the kernel kills a PID namespace with its first process.

What happened is read from bwrap's status descriptor and from the kernel, never from stderr, and
`bwrap` failing to set up is a SandboxError. To let compilers see one more host directory, add it
to places.py, and ask what else is in it.
"""

import contextlib
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from runner.sandbox import procfs
from runner.sandbox.base import Limits, SandboxError, SandboxResult, SandboxUnavailable
from runner.sandbox.bubblewrap.run import START_SECONDS, TMP, BubblewrapRun
from runner.sandbox.host_paths import PATH, USR_DIRECTORIES, compilers_folder, compilers_mounts, read_only
from runner.sandbox.limits import default_limits, prlimit_command
from runner.sandbox.outcome import check_program, first_line, result_of
from runner.sandbox.seccomp.filter import SeccompFilter, find_filter
from runner.sandbox.start_barrier import SCRIPT, Gate
from runner.sandbox.supervisor import Ended, supervise
from runner.sandbox.uid_pool import slot_cleanup
from runner.sandbox.uid_pool.killer import Killer
from runner.workspace import Workspace

# Compilers draw random numbers for temporary names, and write to null. Not /dev/zero or /dev/full:
# nothing needs them, and including an endless file is an attack.
_DEVICES = ("/dev/null", "/dev/urandom")

# The same for every job, so that nothing inside tells hosts and slots apart.
_INSIDE_UID = 1000
_HOST_NAME = "sandbox"

# bwrap turns a deadly signal N into this plus N, like a shell.
_SIGNAL_BASE = 128

# `timeout` inside would only act after the runner failed to.
_INNER_BACKSTOP_SECONDS = 60

_MISSING_USERNS = (
    "bubblewrap cannot make a sandbox on this host ({detail}): allow unprivileged user namespaces "
    "(sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, "
    "or a container engine profile that permits them)"
)


class Bubblewrap:
    """Sandbox built on user namespaces, through the program `bwrap`. Safe to share by threads."""

    name = "bubblewrap"

    def __init__(
        self,
        executable: str = "bwrap",
        find_filter: Callable[[], tuple[SeccompFilter | None, tuple[str, ...]]] = find_filter,
        killer: Killer | None = None,
    ) -> None:
        """`executable` is the path or name of bwrap. Nothing is run before `probe` or `run`."""
        self._executable = executable
        self._killer = killer or Killer()
        self._find_filter = find_filter
        self._weaknesses: tuple[str, ...] = ()
        self._disable_userns = True

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """Protections that this host lacks; known after `probe`."""
        return self._weaknesses

    def probe(self) -> None:
        """Run /usr/bin/true in a real sandbox. Raises SandboxUnavailable."""
        if shutil.which(self._executable) is None:
            raise SandboxUnavailable(f"{self._executable} is not installed: install the package bubblewrap")
        for tool, package in (("prlimit", "util-linux"), ("timeout", "coreutils")):
            if shutil.which(tool, path=PATH) is None:
                raise SandboxUnavailable(f"{tool} is not installed: install the package {package}")
        weaknesses = list(self._find_filter()[1])
        usage = subprocess.run([self._executable, "--help"], capture_output=True, check=False, env={})
        self._disable_userns = b"--disable-userns" in usage.stdout + usage.stderr
        if not self._disable_userns:
            weaknesses.append("jobs can create user namespaces: bubblewrap is older than 0.8")
        if not procfs.supported():
            weaknesses.append(
                "CPU time, memory and processes are limited for each process and not in sum: "
                "the kernel does not list children in /proc (CONFIG_PROC_CHILDREN)"
            )
        try:
            if os.geteuid() == 0:
                self._killer.start()
                slot_cleanup.sweep(self._killer)
            with Workspace.create({}) as workspace:
                # Long enough for one sample, which finds out whether the disk can be watched.
                result, watched = self._run(["sleep", "0.1"], workspace, default_limits(), {}, None)
        except SandboxError as error:
            raise SandboxUnavailable(_MISSING_USERNS.format(detail=error)) from error
        if result.exit_code != 0:
            detail = f"the probe ended with status {result.exit_code}, signal {result.signal}"
            raise SandboxUnavailable(_MISSING_USERNS.format(detail=detail))
        if not watched:
            weaknesses.append("the number of files that a job makes is not limited: /proc/PID/root is closed")
        self._weaknesses = tuple(weaknesses)

    def run(
        self,
        argv: Sequence[str],
        workspace: Workspace,
        limits: Limits,
        *,
        environment: Mapping[str, str] | None = None,
        cancel: threading.Event | None = None,
    ) -> SandboxResult:
        """Run `argv` as the protocol says."""
        return self._run(argv, workspace, limits, environment or {}, cancel)[0]

    def _run(
        self,
        argv: Sequence[str],
        workspace: Workspace,
        limits: Limits,
        environment: Mapping[str, str],
        cancel: threading.Event | None,
    ) -> tuple[SandboxResult, bool]:
        """Run, and also say whether the disk could be watched."""
        check_program(argv, workspace)
        with contextlib.ExitStack() as stack:
            uid = stack.enter_context(slot_cleanup.clean_lease(self._killer)) if os.geteuid() == 0 else None
            copy_arguments, descriptors = _copy_in(workspace.path, workspace.inside, stack)
            status_read, status_write = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, status_read)
            filter_arguments, filter_descriptors = self._filter(stack)
            command = [
                *self._bwrap_arguments(limits, status_write, environment, workspace.inside, copy_arguments),
                *filter_arguments,
                "--",
                "timeout",
                "--foreground",
                "--signal=KILL",
                str(limits.wall_seconds + _INNER_BACKSTOP_SECONDS),
                *prlimit_command(limits, extra_processes=1),
                *("/bin/sh", "-c", SCRIPT, "sh", *argv),
            ]
            gate = stack.enter_context(Gate())
            started = time.monotonic()
            own_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                process = subprocess.Popen(
                    command,
                    stdin=gate.inside,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={},
                    cwd="/",
                    umask=0o077,
                    # Ctrl-C goes to the terminal's whole group: it is for the runner, not for its compilers.
                    process_group=0,
                    pass_fds=[*descriptors, *filter_descriptors, status_write],
                    user=uid,
                    group=uid,
                    extra_groups=None if uid is None else [],
                )
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise SandboxError(f"cannot start {self._executable}: {error}") from error
            finally:
                os.close(status_write)
                gate.started()
            slow_down = None if uid is None else partial(self._killer.slow_down, uid)
            with BubblewrapRun(process, status_read, limits, workspace.inside, slow_down) as run:
                try:
                    gate.open(process.pid, START_SECONDS)
                except TimeoutError:
                    raise SandboxError(f"no start of {argv[0]} within {START_SECONDS:.0f} s") from None
                ended = supervise(run, limits, started=started, cancel=cancel, own_peak_kib=own_peak_kib)
            return _result(ended, run.exit_code(), argv), run.watched

    def _bwrap_arguments(
        self,
        limits: Limits,
        status_descriptor: int,
        environment: Mapping[str, str],
        inside: str,
        copy_arguments: Sequence[str],
    ) -> list[str]:
        """The namespaces and the files of the sandbox."""
        arguments = [self._executable, "--unshare-all", "--unshare-user"]
        if self._disable_userns:
            arguments.append("--disable-userns")
        # --as-pid-1: bwrap's own process 1 would outlive the program and hide its CPU time.
        arguments += ["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
        arguments += ["--uid", str(_INSIDE_UID), "--gid", str(_INSIDE_UID), "--hostname", _HOST_NAME]
        arguments += ["--cap-drop", "ALL", "--json-status-fd", str(status_descriptor)]
        for directory in read_only():
            arguments += ["--ro-bind-try", directory, directory]
        if own := compilers_folder():
            arguments += compilers_mounts(own)
        for directory in USR_DIRECTORIES:
            if os.path.islink(directory):
                arguments += ["--symlink", os.readlink(directory), directory]
            elif os.path.isdir(directory):
                arguments += ["--ro-bind", directory, directory]
        for device in _DEVICES:
            arguments += ["--dev-bind", device, device]
        for directory in (TMP, inside):
            arguments += ["--perms", "0700", "--size", str(limits.disk_bytes), "--tmpfs", directory]
        arguments += copy_arguments
        # The root itself is a file system in memory, without a size.
        arguments += ["--remount-ro", "/", "--chdir", inside]
        variables = {"PATH": PATH, "HOME": inside, "TMPDIR": TMP, "LANG": "C.UTF-8", **environment}
        for variable, value in variables.items():
            arguments += ["--setenv", variable, value]
        return arguments

    def _filter(self, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
        """The arguments that make bwrap install the seccomp filter, and the descriptor it reads from."""
        found, _ = self._find_filter()
        if found is None:
            return [], []
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- the caller's stack closes it
        stack.enter_context(file)
        file.write(found.program)
        file.seek(0)
        return ["--seccomp", str(file.fileno())], [file.fileno()]


def _result(ended: Ended, status: int | None, argv: Sequence[str]) -> SandboxResult:
    """Read bwrap's status: the program's own, 128 + N for signal N, or None when it never had one."""
    if status is None:
        if ended.limit_hit is None and not ended.cancelled:
            said = first_line(ended.stderr) or "no message"
            raise SandboxError(f"bubblewrap failed before it could run {argv[0]}: {said}")
        return result_of(ended, None, signal.SIGKILL, argv)
    if _SIGNAL_BASE < status < _SIGNAL_BASE + signal.NSIG:
        return result_of(ended, None, status - _SIGNAL_BASE, argv)
    return result_of(ended, status, None, argv)


def _copy_in(root: Path, inside: str, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
    """The bwrap arguments that copy the workspace, and the descriptors that they read from.

    The host's copy was written by this process alone; anything but files and directories is
    refused all the same.
    """
    arguments: list[str] = []
    descriptors: list[int] = []
    for directory, name in _walk(root):
        path = directory / name
        target = f"{inside}/{path.relative_to(root)}"
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            arguments += ["--perms", "0755", "--dir", target]
        elif stat.S_ISREG(mode):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            permissions = "0755" if mode & stat.S_IXUSR else "0644"
            arguments += ["--perms", permissions, "--file", str(descriptor), target]
        else:
            raise SandboxError(f"the workspace holds something that is no file: {name!r}")
    return arguments, descriptors


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Directory and name of every entry, each directory before what is in it."""
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            yield Path(directory), name
