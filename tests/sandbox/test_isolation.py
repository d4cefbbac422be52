"""What a job cannot reach from inside, in every sandbox: network, files, privileges, other runs.

Where a test has a listener, the probe first reaches it from outside, so that only the sandbox can be what
stops it inside.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from runner.sandbox.base import Command, Sandbox
from runner.sandbox.host_paths import BELOW_USR, COMPILERS, USR_DIRECTORIES, read_only
from runner.workspace import Workspace
from tests.sandbox.support import TIGHT, Run, let_everybody_in
from tests.support.servers.tools import ROOT


def _answers(probe: Path, *words: str) -> bool:
    """Whether the probe gets what it wants without a sandbox."""
    return subprocess.run([probe, *words], check=False, capture_output=True).returncode == 0


def test_the_environment_has_nothing_of_the_runner(run: Run) -> None:
    """Only the sandbox's own variables and those that the caller names are there."""
    lines = run("environ", env={"ADDED": "a b"}).stdout.decode().splitlines()
    variables = dict(line.split("=", 1) for line in lines)
    assert set(variables) <= {"PATH", "HOME", "TMPDIR", "LANG", "PWD", "ADDED"}
    assert variables["ADDED"] == "a b"


def test_only_the_three_standard_descriptors_are_open(run: Run) -> None:
    """No descriptor of the runner or of the sandbox reaches the program."""
    assert run("descriptors").stdout.split() == [b"0", b"1", b"2"]


def test_the_program_is_unprivileged(run: Run) -> None:
    """The program is not root and cannot gain privileges."""
    assert run("whoami").stdout == b"0 1\n"


def test_user_namespaces_cannot_be_made(run: Run, sandbox: Sandbox) -> None:
    """The program cannot make a user namespace, the usual start of a kernel exploit."""
    assert run("userns").exit_code == 1


def test_no_tcp_listener_of_the_host_answers(run: Run, probe: Path) -> None:
    """A server on the host's loopback address is out of reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = ("tcp", "127.0.0.1", str(server.getsockname()[1]))
        assert _answers(probe, *words)
        assert run(*words).exit_code == 1


def test_the_credential_service_of_a_task_answers_the_runner_and_no_job(
    sandbox: Sandbox, sandbox_name: str, probe: Path, request: pytest.FixtureRequest
) -> None:
    """A listener on 169.254.170.2, in the runner's own network, is out of reach for its jobs."""
    env = dict(os.environ)
    if sandbox_name == "docker" and (url := request.getfixturevalue("engine").url):
        env["DOCKER_HOST"] = url
    command = [sys.executable, "-m", "tests.sandbox.credentials", "attack", sandbox_name, str(probe)]
    ended = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert (report["outside"], report["inside"]) == (0, 1), report


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "169.254.170.2", "1.1.1.1"])
def test_no_other_address_answers(run: Run, address: str) -> None:
    """Internal networks, credential services and the internet are unreachable, and nothing waits for them."""
    result = run("tcp", address, "80")
    # A connection that waited for an answer would meet the wall clock limit.
    assert result.exit_code == 1 and result.limit_hit is None


def test_no_unix_socket_of_the_host_answers(run: Run, probe: Path, tmp_path: Path) -> None:
    """Neither a socket in a directory nor one with an abstract name is reachable."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as by_path, socket.socket(socket.AF_UNIX) as abstract:
        by_path.bind(str(path))
        by_path.listen()
        name = f"wic-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        let_everybody_in(tmp_path)
        path.chmod(0o777)
        for address in (str(path), f"@{name}"):
            assert _answers(probe, "unix", address)
            assert run("unix", address).exit_code == 1


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/shadow",
        "/etc/hostname",
        "/root",
        "/home",
        "/sys/class",
        "/run",
        "/var",
        "/dev/shm",
        "/dev/mem",
        "/dev/tty",
        "/dev/zero",
        "/usr/etc",
        "/usr/games",
        "/usr/src",
        "/usr/local/etc",
        "/usr/local/src",
        "/usr/local/var",
    ],
)
def test_nothing_of_the_host_is_readable(run: Run, path: str) -> None:
    """Files of the host, its processes and its devices do not exist inside."""
    assert run("read", path).exit_code == 1


# Where a host has files, and how many levels deep the test looks. Not the homes, in which people work.
_HOST = (
    ("/", 0), ("/tmp", 0), ("/var/tmp", 0), ("/boot", 2), ("/etc", 2), ("/media", 1), ("/mnt", 1),
    ("/opt", 2), ("/run", 1), ("/srv", 1), ("/usr", 3), ("/usr/local", 3), ("/var", 2),
)  # fmt: skip


def _directories(top: Path, depth: int) -> Iterator[Path]:
    """`top` and what is below it, down to `depth` levels; neither links nor what cannot be read."""
    yield top
    if depth:
        with contextlib.suppress(OSError):
            for entry in os.scandir(top):
                if entry.is_dir(follow_symlinks=False):
                    yield from _directories(Path(entry.path), depth - 1)


def test_a_canary_in_every_directory_of_the_host_is_out_of_reach(
    sandbox: Sandbox, workspace_with_probe: Callable[[], Workspace]
) -> None:
    """Of files that everybody may read, in all of the host's own directories, a job can read none."""
    name = f".canary-{secrets.token_hex(8)}"
    visible = tuple(f"{path}/" for path in (*read_only(), *USR_DIRECTORIES, COMPILERS))
    planted: list[Path] = []
    try:
        for top, depth in _HOST:
            for directory in _directories(Path(top), depth):
                canary = directory / name
                # What is meant to be seen, as docs/security.md says, holds no canary.
                if not f"{canary.resolve()}".startswith(visible):
                    with contextlib.suppress(OSError):
                        canary.touch(0o644, exist_ok=False)
                        planted.append(canary)
        assert planted, "not even a temporary folder can be written"
        with workspace_with_probe() as workspace:
            (workspace.path / "names").write_text("".join(f"{path}\n" for path in planted))
            result = sandbox.run(Command(["./probe", "reachable", "names"]), workspace, TIGHT)
        print(f"{len(planted)} canaries")
        assert (result.exit_code, result.stdout) == (0, b"end\n")
    finally:
        for canary in planted:
            canary.unlink(missing_ok=True)


def test_the_host_shows_nothing_but_what_was_chosen(run: Run, sandbox_name: str) -> None:
    """The names in the directories above the compilers are those of a list."""
    if sandbox_name in ("docker", "setpriv-without-landlock"):
        return  # the image's own files: `test_nothing_of_the_host_is_readable` names those that are hidden
    chosen = {
        "/": ("bin", "sbin", "lib*", "usr", "etc", "dev", "work", "tmp", "compilers"),
        "/etc": ("alternatives", "java-*-openjdk"),
        "/usr": (*BELOW_USR, "local", "share"),
        "/usr/local": (*BELOW_USR, "share", "go"),
        "/dev": ("null", "urandom"),
    }
    for directory, patterns in chosen.items():
        names = run("list", directory).stdout.decode().split()
        tops = [pattern.partition("/")[0] for pattern in patterns]
        assert [name for name in names if not any(fnmatchcase(name, top) for top in tops)] == [], directory


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/1/environ", "/proc/1/cmdline"])
def test_proc_shows_nothing_of_the_runner(run: Run, sandbox: Sandbox, path: str) -> None:
    """/proc does not exist inside, except in a container of the job's own, where it shows that container."""
    result = run("cat", path)
    if sandbox.name == "docker":
        assert b"PYTEST_CURRENT_TEST" not in result.stdout and b"pytest" not in result.stdout
    else:
        assert result.exit_code == 1 and result.stdout == b""


def test_a_secret_file_of_the_runner_is_out_of_reach(run: Run, tmp_path: Path) -> None:
    """Even a file of the runner that everybody may read does not exist inside."""
    secret = tmp_path / "secret"
    secret.write_text("password")
    secret.chmod(0o644)
    let_everybody_in(tmp_path)
    for path in (str(secret), f"/usr/..{secret}", f"/work/../..{secret}"):
        assert run("read", path).exit_code == 1
    assert run("read", str(Path(__file__))).exit_code == 1


@pytest.mark.parametrize(
    "path",
    ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/dev/x", "/dev/shm/x", "/home/x", "/var/tmp/x", "/bin/x"],
)
def test_nothing_is_writable_but_workspace_and_tmp(run: Run, path: str) -> None:
    """No directory of the sandbox's root takes a file."""
    assert run("write", path).exit_code == 1


@pytest.mark.parametrize("path", ["$TMPDIR/x", "here", "$HOME/there", "/dev/null"])
def test_workspace_and_tmp_are_writable(run: Run, path: str) -> None:
    """The workspace, by relative and absolute name, TMPDIR and /dev/null can be written."""
    assert run("write", path).exit_code == 0


def test_what_a_run_writes_is_not_seen_by_the_next(run: Run, tmp_path: Path) -> None:
    """TMPDIR is private to a run, and not the host's."""
    name = f"wic-leftover-{os.getpid()}"
    assert run("write", f"$TMPDIR/{name}").exit_code == 0
    for directory in ("$TMPDIR", "$HOME", "/tmp"):
        assert run("read", f"{directory}/{name}").exit_code == 1
    assert not (Path("/tmp") / name).exists()
