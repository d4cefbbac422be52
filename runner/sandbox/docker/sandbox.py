"""The docker sandbox: one container per job, for hosts that have an engine and images with compilers.

The container's own program is a shell that sleeps, as root without capabilities; it reaps orphans, and its
end ends the container even if the runner has died. The job is a second program in the container (exec), under
a user id of its own, so it can neither signal the first one nor see another job. Inside:

- no network, a read-only root, no capability and no way to gain one, and our own seccomp table as a profile;
- /work and /tmp are file systems in memory with a size of their own; the job's files come as a tar archive
  through the program's standard input, so no path of the host is involved;
- memory and processes are limited by the control group, and by `prlimit` as in the other sandboxes;
- what the engine adds (/sys, /run, devices that never end, …) is masked. The image's own files can be read.

Where the engine has gVisor (`runsc`), the container runs in it. Every container carries a label with the
runner's process, so that containers of a dead runner can be removed. run.py watches one job.
"""

import contextlib
import io
import json
import os
import secrets
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException

from runner.sandbox.base import Command, Limits, SandboxError, SandboxResult, SandboxUnavailable
from runner.sandbox.docker import engine
from runner.sandbox.docker.run import BASE_TASKS, DockerRun
from runner.sandbox.host_paths import TMP, base_env, check_arguments
from runner.sandbox.limits import MIB, default_limits, file_count_limit, prlimit_command
from runner.sandbox.seccomp.filter import docker_profile
from runner.sandbox.staging import entries, permissions
from runner.sandbox.start_barrier import GAVE_UP
from runner.sandbox.supervisor import check_started
from runner.sandbox.uid_pool import pool
from runner.workspace import INSIDE, Workspace

# The image that this sandbox looks for: the tag for `docker build -f runner/Dockerfile -t … .`
IMAGE = "will-it-compile-runner"

# One compiler keeps one core busy, and its linker for moments a second one.
_CPUS = 2

# The engine starts a program in a container with a dozen threads of its own, for some milliseconds.
_SPARE_TASKS = 16

# For these threads and for the container's own program, on top of what the job may use.
_SPARE_BYTES = 32 * MIB

# The container ends itself this long after its job must have ended, in case the runner has died.
_BACKSTOP_SECONDS = 60

# Not the engine's own init, which makes a process group: the system call filter forbids that.
_HOLD = ("/bin/sh", "-c", 'sleep "$1" & wait', "sh")

# What an engine puts into every container and no compiler needs; the first block is its own default.
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats",
    "/sys/block", "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices", "/sys/firmware", "/sys/hypervisor",
    "/sys/kernel", "/sys/module", "/sys/power", "/sys/fs/bpf", "/sys/fs/ext4",
    "/run", "/var", "/home", "/root", "/media", "/mnt", "/srv",
    "/dev/mqueue", "/dev/zero", "/dev/full", "/dev/tty", "/dev/console",
    "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
)  # fmt: skip
# /sys/fs/cgroup is not among them: run.py asks there whether memory ran out.
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")

# Unpacks the job's files (the first N bytes of standard input) and becomes the rest of the chain, which sets
# the limits. The last shell prints a word that nobody else can know, which says that everything before has
# worked, and becomes the program.
_UNPACK = f'head -c "$1" | tar -x -f - -C "$2" && shift 2 && exec "$@"; exit {GAVE_UP}'
_START = 'word=$1; shift; exec </dev/null; printf %s "$word"; exec "$@"'

# The question is asked inside, because engines and runtimes differ in what they do with a profile.
_IS_FILTERED = ("grep", "-q", "^Seccomp:[[:space:]]*2$", "/proc/self/status")
_UNFILTERED = "system calls are not filtered: seccomp has no profile here, or the engine did not apply it"

_NO_ENGINE = "no container engine answers ({detail}): install docker.io, and let this user use it"
_NO_IMAGE = "the image {image} is missing: docker build -f runner/Dockerfile -t {image} ."
_NO_IMAGE_EITHER = "{missing}; or docker pull {official}, which is enough for some compilers"


class Docker:
    """Sandbox built on a container engine. Safe to share by threads."""

    name = "docker"

    def __init__(
        self,
        image: str = IMAGE,
        *,
        official: Sequence[str] = (),
        base_url: str | None = None,
        find_profile: Callable[[], dict[str, Any] | None] = docker_profile,
    ) -> None:
        """`image` holds the compilers; `base_url` is the engine's, by default that of DOCKER_HOST.

        `official` are images that hold one compiler each; those that the engine has are used as well.
        `find_profile` returns the seccomp profile, or None. Nothing is run before `probe` or `run`.
        """
        self.image = image
        self._base_url = base_url
        self._find_profile = find_profile
        self._official = tuple(official)
        self._images: tuple[str, ...] = ()
        self._runtime: str | None = None
        self._version: str | None = None
        self._weaknesses: tuple[str, ...] = ()

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """Protections that this host lacks; known after `probe`."""
        return self._weaknesses

    @property
    def images(self) -> tuple[str, ...]:
        """The images that the engine has, the one with all compilers first; known after `probe`."""
        return self._images

    def within(self, image: str) -> "Docker":
        """The same sandbox for programs of another image, with what `probe` has found out."""
        other = Docker(image, base_url=self._base_url, find_profile=self._find_profile)
        other._images, other._runtime, other._version = (image,), self._runtime, self._version
        other._weaknesses = self._weaknesses
        return other

    def probe(self) -> None:
        """Remove what dead runners left, then try a real container. Raises SandboxUnavailable.

        Images are never pulled: that takes minutes, and is the operator's decision.
        """
        try:
            with engine.connect(self._base_url, self._version) as client:
                self._version = client.api_version
                info = client.info()
                names = dict.fromkeys((self.image, *self._official))  # `image` may be an official one
                self._images = tuple(image for image in names if engine.has_image(client, image))
                engine.remove_leftovers(client)
        except (DockerException, requests.RequestException, OSError) as error:
            raise SandboxUnavailable(_NO_ENGINE.format(detail=engine.one_line(error))) from error
        if not self._images:
            missing = _NO_IMAGE.format(image=self.image)
            if self._official:
                missing = _NO_IMAGE_EITHER.format(missing=missing, official=self._official[0])
            raise SandboxUnavailable(missing)
        self._runtime = runtime_of(info)
        try:
            with Workspace.create({}) as workspace:
                result = self.within(self._images[0]).run(Command(_IS_FILTERED), workspace, default_limits())
        except SandboxError as error:
            raise SandboxUnavailable(f"the container engine cannot run a job: {error}") from error
        if result.exit_code not in (0, 1):
            raise SandboxUnavailable(f"the probe in a container ended with status {result.exit_code}")
        self._weaknesses = () if result.exit_code == 0 else (_UNFILTERED,)

    def run(
        self,
        command: Command,
        workspace: Workspace,
        limits: Limits,
        *,
        cancel: threading.Event | None = None,
    ) -> SandboxResult:
        """Run `command` as the protocol says."""
        check_arguments(command)
        program = command.argv[0]
        # Whether a program of the workspace exists can be seen before a container is made.
        if (
            "/" in program
            and not program.startswith("/")
            and not os.access(workspace.path / program, os.X_OK)
        ):
            raise SandboxError(f"the sandbox has no program {program}")
        try:
            with (
                pool.lease() as uid,
                engine.connect(self._base_url, self._version) as client,
                self._container(client, uid, limits) as name,
            ):
                archive = _archive(workspace.path, uid)
                word = secrets.token_hex(16)
                chain = _chain(command, limits, len(archive), word)
                with DockerRun(
                    client, name, uid, limits, chain, archive, word.encode(), command.notable
                ) as run:
                    return check_started(run.supervise(program, cancel), program)
        except (DockerException, requests.RequestException, OSError) as error:
            raise SandboxError(f"the container engine failed: {engine.one_line(error)}") from error

    def find_compiler(self, name: str) -> str | None:
        """The name itself: the compilers are in the image, where this process cannot look."""
        return name

    @contextlib.contextmanager
    def _container(self, client: "docker.APIClient", uid: int, limits: Limits) -> Iterator[str]:
        """A started container; gone, with everything in it, when the context ends."""
        name = f"wic-{secrets.token_hex(12)}"
        try:
            client.create_container_from_config(self.config(uid, limits), name)
            client.start(name)
            yield name
        finally:
            engine.remove(client, name)

    def _profile(self) -> dict[str, Any] | None:
        try:
            return self._find_profile()
        except ValueError:
            return None

    def config(self, uid: int, limits: Limits) -> dict[str, Any]:
        """The whole policy of the container, in the engine's own words (POST /containers/create)."""
        profile = self._profile()
        size = f"size={limits.disk_bytes},nr_inodes={file_count_limit(limits)}"
        mount = f"rw,exec,nosuid,nodev,mode=0700,uid={uid},gid={uid},{size}"
        memory_bytes = limits.memory_bytes + 2 * limits.disk_bytes + _SPARE_BYTES
        return {
            "Image": self.image,
            "Entrypoint": [*_HOLD, str(int(limits.wall_seconds) + _BACKSTOP_SECONDS)],
            "Cmd": [],
            # The image's own check is about a runner, and would run in the job's container.
            "Healthcheck": {"Test": ["NONE"]},
            "User": "0:0",
            "WorkingDir": "/",
            "Hostname": "sandbox",
            # With NetworkMode alone the engine still connects the container to nothing: a third of its start.
            "NetworkDisabled": True,
            "Labels": {engine.LABEL: engine.this_runner()},
            "HostConfig": {
                "NetworkMode": "none",
                "IpcMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": [
                    "no-new-privileges",
                    f"seccomp={json.dumps(profile) if profile is not None else 'unconfined'}",
                ],
                "Tmpfs": {INSIDE: mount, TMP: mount},
                "Memory": memory_bytes,
                "MemorySwap": memory_bytes,
                "PidsLimit": limits.processes + BASE_TASKS + _SPARE_TASKS,
                # One core stays free for other jobs, and for the engine, which starts them.
                "NanoCpus": min(_CPUS, max(1, (os.cpu_count() or 1) - 1)) * 10**9,
                "MaskedPaths": list(_MASKED),
                "ReadonlyPaths": list(_READ_ONLY),
                "LogConfig": {"Type": "none"},
                **({"Runtime": self._runtime} if self._runtime else {}),
            },
        }


def runtime_of(info: Mapping[str, Any]) -> str | None:
    """gVisor's runtime when the engine's information (GET /info) lists it; None is the engine's default."""
    return "runsc" if "runsc" in (info.get("Runtimes") or {}) else None


def _archive(root: Path, uid: int) -> bytes:
    """The workspace as a tar archive that belongs to the job's user."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, status in entries(root):
            member = tarfile.TarInfo(str(path.relative_to(root)))
            member.mode, member.uid, member.gid = permissions(status), uid, uid
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                data = path.read_bytes()
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def _chain(command: Command, limits: Limits, archive_bytes: int, word: str) -> list[str]:
    """The chain of small tools that unpacks, limits and starts the program."""
    variables = {**base_env(INSIDE, TMP), **command.env}
    return [
        *("env", "-i", *(f"{name}={value}" for name, value in variables.items())),
        *("/bin/sh", "-c", _UNPACK, "sh", str(archive_bytes), INSIDE),
        # When memory runs out, the kernel must end the job, not the program that holds its container.
        *("choom", "-n", "1000", "--"),
        *prlimit_command(limits),
        *("/bin/sh", "-c", _START, "sh", word, *command.argv),
    ]
