"""The setpriv sandbox, for hosts that allow neither namespaces nor mounts (Fargate): root in a container.

A run is the chain `choom … prlimit … chroot … setpriv … env -i … sh … argv`, of util-linux 2.41 or newer:

- every job has a user id to itself (uid_pool) and no capability, can gain none, and its system calls are
  filtered (seccomp);
- its root is /jail, which the runner's image makes of the compilers and /work alone, and Landlock also
  confines it where the kernel has it. Without such a directory the root is the host's: then Landlock is
  required, as it is all that confines the job's view of files;
- its workspace and its TMPDIR are fresh directories below /work that only its user id can enter;
- the last step before the program says that everything above has worked, and waits to be let through
  (start_barrier.py). Whatever fails until then is a failure of the sandbox, whichever tool it came from.

Afterwards run.py ends everything that has the job's user id; an id that cannot be cleared is never used
again. A workspace has no file system of its own: the disk limit is polled, and the size of
the tmpfs is the backstop.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from runner.sandbox.base import Command, Limits, SandboxError, SandboxResult, SandboxUnavailable
from runner.sandbox.host_paths import (
    COMPILERS,
    TMP,
    USR_DIRECTORIES,
    base_env,
    check_program,
    find_compiler,
    read_only,
)
from runner.sandbox.limits import default_limits, prlimit_command
from runner.sandbox.seccomp.filter import SeccompFilter, find_filter
from runner.sandbox.setpriv import landlock
from runner.sandbox.setpriv.run import SetprivRun
from runner.sandbox.staging import copy_tree
from runner.sandbox.start_barrier import GAVE_UP, SCRIPT, StartBarrier
from runner.sandbox.supervisor import check_started, first_line, supervise
from runner.sandbox.uid_pool import uid_cleanup, uid_usage
from runner.sandbox.uid_pool.killer import Killer
from runner.workspace import INSIDE, Workspace, remove_stale_workspaces

JAIL = Path("/jail")

# Relative to the jail; a tmpfs of limited size is to be mounted there.
_WORK = "work"

_DEVICES = (("/dev/null", True), ("/dev/urandom", False))

# Where a distribution may have put the tools: chroot and setpriv are for administrators.
_TOOLS_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = {"choom": "util-linux", "prlimit": "util-linux", "setpriv": "util-linux", "chroot": "coreutils"}

# On a host that runs out of memory, the kernel should end jobs before anything else: the highest score.
_OUT_OF_MEMORY_SCORE = 1000

# The process limit is set last of all. When the user id is over it, the next program of the chain cannot
# start, and no tool would say why. The option is -p in dash and -u in bash.
_START = f'ulimit -p "$1" 2>/dev/null || ulimit -u "$1" || exit {GAVE_UP}; shift; {SCRIPT}'

# The chain takes 10 ms; a host that takes this long cannot compile either.
_START_SECONDS = 10.0

_NO_LANDLOCK = (
    "Landlock does not confine jobs: this kernel does not offer it to the runner, "
    "so only the change of root keeps files of the host away"
)
_CANNOT_RUN = (
    "setpriv cannot make a sandbox on this host ({detail}): it needs root, util-linux 2.41 or newer, and a "
    "writable {work} (mount a tmpfs there; the runner's image brings the rest)"
)


class Setpriv:
    """Sandbox built on user ids, a change of root, Landlock and seccomp. Safe to share by threads."""

    name = "setpriv"

    def __init__(
        self,
        jail: Path | None = None,
        *,
        work: Path | None = None,
        abi: int | None = None,
        find_filter: Callable[[], tuple[SeccompFilter | None, tuple[str, ...]]] = find_filter,
        killer: Killer | None = None,
    ) -> None:
        """`jail` is the root of jobs; by default /jail where there is one, else the host's own root.

        `work` is the directory for workspaces, by default /work in the jail. `abi` is the Landlock ABI
        to use, 0 for no Landlock, by default the kernel's. Nothing is run before `probe` or `run`.
        """
        if jail is None:
            jail = JAIL if JAIL.is_dir() else Path("/")
        self._jail = jail
        self._chroot = jail != Path("/")
        self._work = work or (jail / _WORK if self._chroot else Path(tempfile.gettempdir()))
        self._abi = abi
        self._find_filter = find_filter
        self._killer = killer or Killer()
        self._weaknesses: tuple[str, ...] = ()

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """Protections that this host lacks; known after `probe`."""
        return self._weaknesses

    @property
    def root(self) -> str:
        """The directory of the host that is the root of jobs; empty when it is the host's own root."""
        return str(self._jail) if self._chroot else ""

    def find_compiler(self, name: str) -> str | None:
        """The host's path of a compiler: jobs see those below their own root."""
        return find_compiler(name, self.root)

    def probe(self) -> None:
        """Run `true` in a real sandbox. Raises SandboxUnavailable."""
        if os.geteuid() != 0:
            raise SandboxUnavailable("setpriv gives each job a user id of its own: run the runner as root")
        for tool, package in _TOOLS.items():
            if shutil.which(tool, path=_TOOLS_PATH) is None:
                raise SandboxUnavailable(f"{tool} is not installed: install the package {package}")
        if self._abi is None:
            self._abi = landlock.kernel_abi()
        weaknesses = list(self._find_filter()[1])
        if not self._abi:
            if not self._chroot:
                raise SandboxUnavailable(
                    f"setpriv needs a root for jobs, {JAIL}, as the runner's image has it, "
                    "or a kernel with Landlock"
                )
            weaknesses.append(_NO_LANDLOCK)
        try:
            if self._chroot:
                # A tmpfs is writable by everybody by default, so a job could leave files for the next one.
                self._work.chmod(0o711)
            uid_usage.become_subreaper()
            self._killer.start()
            uid_cleanup.sweep(self._killer)
            remove_stale_workspaces(self._work)
            with Workspace.create({}, self._work) as workspace:
                result = self.run(Command(["true"]), workspace, default_limits())
        except (SandboxError, OSError) as error:
            raise SandboxUnavailable(_CANNOT_RUN.format(detail=error, work=self._work)) from error
        if result.exit_code != 0:
            detail = f"the probe ended with status {result.exit_code}, signal {result.signal}"
            raise SandboxUnavailable(_CANNOT_RUN.format(detail=detail, work=self._work))
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
        check_program(command, workspace, self.root)
        program = command.argv[0]
        with contextlib.ExitStack() as stack:
            uid = stack.enter_context(uid_cleanup.clean_lease(self._killer))
            home, temporary = (stack.enter_context(Workspace.create({}, self._work)).path for _ in range(2))
            for path in (home, temporary):
                os.chown(path, uid, uid)
            copy_tree(workspace.path, home, uid)
            barrier = stack.enter_context(StartBarrier())
            chain = [
                *("choom", "-n", str(_OUT_OF_MEMORY_SCORE), "--"),
                *prlimit_command(limits, extra_processes=None),
                *self._chroot_command(),
                *self._setpriv_command(uid, home, temporary, stack),
                *self._env_command(home, temporary, command.env),
                *("/bin/sh", "-c", _START, "sh", str(limits.processes), *command.argv),
            ]
            started = time.monotonic()
            try:
                process = subprocess.Popen(
                    chain,
                    stdin=barrier.inside,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={"PATH": _TOOLS_PATH},
                    cwd="/",
                    umask=0o077,
                    start_new_session=True,
                )
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                raise SandboxError(f"cannot start {chain[0]}: {error}") from error
            finally:
                barrier.chain_started()
            with SetprivRun(process, uid, limits, (home, temporary), self._killer) as run:
                try:
                    barrier.open(process.pid, _START_SECONDS)
                except TimeoutError:
                    raise SandboxError(f"{program} did not start within {_START_SECONDS:.0f} s") from None
                result = supervise(
                    run,
                    limits,
                    started=started,
                    cancel=cancel,
                    own_peak_kib=run.own_peak_kib,
                    notable=command.notable,
                )
            killed = result.limit_hit is not None or result.cancelled
            if not barrier.opened and not killed:
                end = f"signal {result.signal}" if result.signal else f"status {result.exit_code}"
                raise SandboxError(
                    f"the sandbox could not start {program}: {first_line(result.stderr) or end}"
                )
            return check_started(self._with_common_names(result, home, temporary), program)

    def _chroot_command(self) -> list[str]:
        return ["chroot", str(self._jail)] if self._chroot else []

    def _setpriv_command(
        self, uid: int, home: Path, temporary: Path, stack: contextlib.ExitStack
    ) -> list[str]:
        """The privileges of a job, with the filter in a file that only root can read."""
        command = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
        command += ["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        command += ["--pdeathsig", "KILL"]
        seccomp, _ = self._find_filter()
        if seccomp is not None:
            file = tempfile.NamedTemporaryFile(dir=self._work, buffering=0)  # noqa: SIM115 -- see the next line
            stack.enter_context(file)
            file.write(seccomp.program)
            command += ["--seccomp-filter", self._inside(Path(file.name))]
        if self._abi is None:
            self._abi = landlock.kernel_abi()
        if self._abi:
            root = self._jail
            directories = (*read_only(self.root), *USR_DIRECTORIES, COMPILERS)
            command += landlock.arguments(
                self._abi,
                readable=[path for path in directories if (root / path.lstrip("/")).is_dir()],
                writable=[self._inside(home), self._inside(temporary)],
                devices=_DEVICES,
            )
        return [*command, "--"]

    def _env_command(self, home: Path, temporary: Path, env: Mapping[str, str]) -> list[str]:
        inside = self._inside(home)
        variables = {**base_env(inside, self._inside(temporary)), **env}
        return ["env", "-i", "-C", inside, *(f"{name}={value}" for name, value in variables.items())]

    def _with_common_names(self, result: SandboxResult, home: Path, temporary: Path) -> SandboxResult:
        """The result with /work and /tmp in its output, where the program printed this run's directories.

        A linker prints them. Their names differ in each run, and equal jobs should have equal output.
        """
        names = [
            (self._inside(home).encode(), INSIDE.encode()),
            (self._inside(temporary).encode(), TMP.encode()),
        ]

        def renamed(text: bytes) -> bytes:
            for own, name in names:
                text = text.replace(own, name)
            return text

        return replace(
            result,
            stdout=renamed(result.stdout),
            stderr=renamed(result.stderr),
            stdout_rest=renamed(result.stdout_rest),
            stderr_rest=renamed(result.stderr_rest),
        )

    def _inside(self, path: Path) -> str:
        """A path of the host as the job names it."""
        return f"/{path.relative_to(self._jail)}"
