"""The bubblewrap sandbox: fresh namespaces, a root of its own, nothing of the host but /usr.

A run is the chain `bwrap … -- timeout … prlimit … -- sh … argv`, as an unprivileged user even when the
runner is root; the last thing that bwrap does is to install the system call filter. Inside:

- /usr is read-only (with /bin, /lib and the like as the host has them); there is no /proc, no
  /etc but the alternatives that compilers are reached through, no home, no network;
- /work and /tmp are file systems in memory with a size of their own. The job's files are copied
  into /work through descriptors, so nothing that a job writes ever reaches the host;
- `timeout` is process 1, since the kernel does not end a process 1 by ordinary signals, as compilers expect.
  When it ends the whole process tree ends, since the kernel kills a PID namespace with its first process.

How the run ended is read from bwrap's status descriptor and from the kernel, never from stderr, and
a `bwrap` that cannot set up the sandbox is a SandboxError. host_paths.py says what compilers can read
of the host.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from runner.sandbox import procfs
from runner.sandbox.base import Command, Limits, SandboxError, SandboxResult, SandboxUnavailable
from runner.sandbox.bubblewrap.run import START_SECONDS, BubblewrapRun
from runner.sandbox.host_paths import (
    PATH,
    TMP,
    USR_DIRECTORIES,
    base_env,
    check_program,
    compilers_folder,
    compilers_mounts,
    find_compiler,
    read_only,
)
from runner.sandbox.limits import default_limits, prlimit_command
from runner.sandbox.seccomp.filter import SeccompFilter, find_filter
from runner.sandbox.staging import entries, open_to_read, permissions
from runner.sandbox.start_barrier import SCRIPT, StartBarrier
from runner.sandbox.supervisor import check_started, exit_or_signal, first_line, supervise
from runner.sandbox.uid_pool import uid_cleanup
from runner.sandbox.uid_pool.killer import Killer
from runner.workspace import Workspace

# Compilers draw random numbers for temporary names, and write to null. Not /dev/zero or /dev/full:
# nothing needs them, and including an endless file is an attack.
_DEVICES = ("/dev/null", "/dev/urandom")

# The same for every job, so that nothing inside tells on which host, or as which user, it runs.
_INSIDE_UID = 1000
_HOST_NAME = "sandbox"

# The `timeout` inside ends the run this much later than the runner should have ended it.
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
                "CPU time, memory and processes are limited for each process, not for a job as a whole: "
                "this kernel does not list children in /proc (CONFIG_PROC_CHILDREN)"
            )
        try:
            if os.geteuid() == 0:
                self._killer.start()
                uid_cleanup.sweep(self._killer)
            with Workspace.create({}) as workspace:
                # Long enough for one sample, which finds out whether the disk can be watched.
                result, watched = self._run(Command(["sleep", "0.1"]), workspace, default_limits(), None)
        except SandboxError as error:
            raise SandboxUnavailable(_MISSING_USERNS.format(detail=error)) from error
        if result.exit_code != 0:
            detail = f"the probe ended with status {result.exit_code}, signal {result.signal}"
            raise SandboxUnavailable(_MISSING_USERNS.format(detail=detail))
        if not watched:
            weaknesses.append(
                "the number of files that a job makes is not limited: /proc/PID/root cannot be read here"
            )
        self._weaknesses = tuple(weaknesses)

    def run(
        self,
        command: Command,
        workspace: Workspace,
        limits: Limits,
        *,
        cancel: threading.Event | None = None,
    ) -> SandboxResult:
        """Run `command` as the protocol says."""
        return self._run(command, workspace, limits, cancel)[0]

    def find_compiler(self, name: str) -> str | None:
        """The host's path of a compiler: jobs see the compilers of the host."""
        return find_compiler(name)

    def _run(
        self, command: Command, workspace: Workspace, limits: Limits, cancel: threading.Event | None
    ) -> tuple[SandboxResult, bool]:
        """Run, and also say whether the disk could be watched."""
        check_program(command, workspace)
        program = command.argv[0]
        with contextlib.ExitStack() as stack:
            uid = stack.enter_context(uid_cleanup.clean_lease(self._killer)) if os.geteuid() == 0 else None
            copy_arguments, descriptors = _copy_in(workspace.path, workspace.inside, stack)
            status_read, status_write = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, status_read)
            filter_arguments, filter_descriptors = self._filter(stack)
            chain = [
                *self._bwrap_arguments(limits, status_write, command.env, workspace.inside, copy_arguments),
                *filter_arguments,
                "--",
                "timeout",
                "--foreground",
                "--signal=KILL",
                str(limits.wall_seconds + _INNER_BACKSTOP_SECONDS),
                *prlimit_command(limits, extra_processes=1),
                *("/bin/sh", "-c", SCRIPT, "sh", *command.argv),
            ]
            barrier = stack.enter_context(StartBarrier())
            started = time.monotonic()
            own_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                process = subprocess.Popen(
                    chain,
                    stdin=barrier.inside,
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
                barrier.chain_started()
            slow_down = None if uid is None else partial(self._killer.slow_down, uid)
            with BubblewrapRun(process, status_read, limits, workspace.inside, slow_down) as run:
                try:
                    barrier.open(process.pid, START_SECONDS)
                except TimeoutError:
                    raise SandboxError(f"{program} did not start within {START_SECONDS:.0f} s") from None
                result = supervise(
                    run,
                    limits,
                    started=started,
                    cancel=cancel,
                    own_peak_kib=own_peak_kib,
                    notable=command.notable,
                )
            return _result_of_program(result, run.exit_code(), program), run.watched

    def _bwrap_arguments(
        self,
        limits: Limits,
        status_descriptor: int,
        env: Mapping[str, str],
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
        for variable, value in {**base_env(inside, TMP), **env}.items():
            arguments += ["--setenv", variable, value]
        return arguments

    def _filter(self, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
        """The arguments that make bwrap install the seccomp filter, and the descriptor it reads from."""
        seccomp, _ = self._find_filter()
        if seccomp is None:
            return [], []
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- the caller's stack closes it
        stack.enter_context(file)
        file.write(seccomp.program)
        file.seek(0)
        return ["--seccomp", str(file.fileno())], [file.fileno()]


def _result_of_program(result: SandboxResult, status: int | None, program: str) -> SandboxResult:
    """Put the program's end in the place of bwrap's own; `status` is what bwrap reported of it, or None."""
    if status is None:
        if result.limit_hit is None and not result.cancelled:
            message = first_line(result.stderr) or "no message"
            raise SandboxError(f"bubblewrap failed before it could run {program}: {message}")
        return replace(result, exit_code=None, signal=signal.SIGKILL)
    exit_code, signal_number = exit_or_signal(status)
    return check_started(replace(result, exit_code=exit_code, signal=signal_number), program)


def _copy_in(root: Path, inside: str, stack: contextlib.ExitStack) -> tuple[list[str], list[int]]:
    """The bwrap arguments that copy the workspace, and the descriptors that they read from."""
    arguments: list[str] = []
    descriptors: list[int] = []
    for path, status in entries(root):
        target = f"{inside}/{path.relative_to(root)}"
        arguments += ["--perms", f"{permissions(status):04o}"]
        if stat.S_ISDIR(status.st_mode):
            arguments += ["--dir", target]
        else:
            descriptor = open_to_read(path)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            arguments += ["--file", str(descriptor), target]
    return arguments, descriptors
