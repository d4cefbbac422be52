"""The system call policy: the table, its exports, and each of its rules as a job meets it."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.sandbox.base import Command, Sandbox, SandboxError, SandboxUnavailable
from runner.sandbox.seccomp.filter import (
    SeccompFilter,
    build_filter,
    docker_profile,
    find_filter,
    load_rules,
)
from runner.sandbox.seccomp.libseccomp import MASKED_EQUAL, SeccompError
from runner.workspace import Workspace
from tests.sandbox.hostile.programs import program
from tests.sandbox.support import TIGHT, build_probe, compile_in

SYSCALLS_SOURCE = Path(__file__).parent / "probes" / "syscalls.c"

_UNCONDITIONAL = {rule.syscall: rule.error for rule in load_rules() if rule.condition is None}

# Calls whose arguments decide, with the errno that the table gives them; 0 where it allows them.
_CONDITIONAL = {
    "socketpair:1:1": 0,  # AF_UNIX, SOCK_STREAM: rustc
    "socketpair:1:5": 0,  # SOCK_SEQPACKET
    "socketpair:1:2": errno.EPERM,  # SOCK_DGRAM
    "socketpair:1:3": errno.EPERM,  # SOCK_RAW is the same for AF_UNIX
    f"socketpair:1:{2 | 0o2000000}": errno.EPERM,  # SOCK_DGRAM | SOCK_CLOEXEC
    "socketpair:30:1": errno.EPERM,  # AF_TIPC has pairs, too
    "socketpair:2:1": errno.EPERM,
    "ioctl:5412": errno.EPERM,  # TIOCSTI
    "ioctl:541c": errno.EPERM,  # TIOCLINUX
    "ioctl:100005412": errno.EPERM,  # the kernel drops the upper half, so the filter must as well
    "clone:0": 0,
    "thread": 0,  # through clone, since clone3 is answered with ENOSYS
    **{f"clone:{1 << bit:x}": errno.EPERM for bit in (17, 25, 26, 27, 28, 29, 30)},  # CLONE_NEW*
    f"clone:{1 << 32 | 1 << 28:x}": errno.EPERM,
    "mmap:22": 0,  # MAP_PRIVATE | MAP_ANONYMOUS
    "mmap:4022": 0,  # and MAP_NORESERVE
    "mmap:21": errno.ENOMEM,  # MAP_SHARED | MAP_ANONYMOUS
    "mmap:4021": errno.ENOMEM,
    "mmap:40022": errno.ENOMEM,  # MAP_HUGETLB
    "fcntl:1": 0,  # F_GETFD
    "fcntl:407": errno.EPERM,  # F_SETPIPE_SZ
    **{f"fcntl:{command:x}": errno.ENOLCK for command in (6, 7, 37, 38)},  # F_SETLK and its siblings
    "fcntl:100000006": errno.ENOLCK,
    "prctl:16": errno.EPERM,  # PR_SET_SECCOMP
    "prctl:3": 0,  # PR_GET_DUMPABLE
}


_NO_FILTER = (None, ("system calls are not filtered: a test left it out",))


@pytest.fixture(scope="session")
def syscalls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe that makes system calls by name; it knows every name of the table that this libc knows."""
    names = sorted({rule.syscall for rule in load_rules()})
    lines = "\n".join(f'#ifdef SYS_{name}\n    {{"{name}", SYS_{name}}},\n#endif' for name in names)
    folder = tmp_path_factory.mktemp("syscalls")
    (folder / "syscalls.c").write_text(SYSCALLS_SOURCE.read_text().replace("/* CALLS */", lines))
    return build_probe(folder / "syscalls.c", folder / "syscalls")


@pytest.fixture
def answers(syscalls: Path) -> Callable[..., dict[str, int]]:
    """Makes calls inside a sandbox: name → errno, 0 for success."""

    def answers(sandbox: Sandbox, *names: str) -> dict[str, int]:
        with Workspace.create({}) as workspace:
            shutil.copy(syscalls, workspace.path / "syscalls")
            result = sandbox.run(Command(["./syscalls", *names]), workspace, TIGHT)
        assert result.exit_code == 0, (result.signal, result.stdout, result.stderr)
        lines = (line.split() for line in result.stdout.decode().splitlines())
        return {name: int(number) for name, number in lines}

    return answers


def test_every_forbidden_call_fails_with_the_errno_of_the_table(
    sandbox: Sandbox, answers: Callable[..., dict[str, int]]
) -> None:
    """Each call that the table forbids whatever its arguments fails inside, as the table says."""
    errors = answers(sandbox, *_UNCONDITIONAL)
    # Old headers lack the youngest calls, and this architecture may lack old ones: the probe says 0 then.
    known = {name: number for name, number in errors.items() if number}
    assert known == {name: _UNCONDITIONAL[name] for name in known}
    assert len(known) > 0.8 * len(_UNCONDITIONAL), set(errors) - set(known)


@pytest.mark.parametrize("call", list(_CONDITIONAL))
def test_arguments_decide_as_the_table_says(
    sandbox: Sandbox, answers: Callable[..., dict[str, int]], call: str
) -> None:
    """Namespaces, socket families and terminal commands are forbidden; what compilers need is not."""
    assert answers(sandbox, call) == {call: _CONDITIONAL[call]}


@pytest.mark.parametrize("architecture", ["i386", "x32"])
def test_calls_of_another_architecture_end_the_process(
    sandbox: Sandbox, syscalls: Path, architecture: str
) -> None:
    """A call by another architecture's numbers does not get around the filter."""
    with Workspace.create({}) as workspace:
        shutil.copy(syscalls, workspace.path / "syscalls")
        result = sandbox.run(Command(["./syscalls", architecture]), workspace, TIGHT)
    if os.uname().machine == "x86_64":
        assert result.signal is not None and result.stdout == b"", result


# The constructors name the source of their policy differently.
def _policy(name: str, policy: Any) -> dict[str, Any]:
    return {"find_profile" if name == "docker" else "find_filter": lambda: policy}


def test_only_the_filter_forbids_these_calls(
    sandbox_name: str, make_sandbox: Callable[..., Sandbox], answers: Callable[..., dict[str, int]]
) -> None:
    """Without the filter, the very calls that matter most succeed or fail for another reason."""
    sandbox = make_sandbox(
        sandbox_name, **_policy(sandbox_name, None if sandbox_name == "docker" else _NO_FILTER)
    )
    sandbox.probe()
    assert any("not filtered" in weakness for weakness in sandbox.weaknesses)
    # Calls that an engine's own profile allows.
    names = ["socket", "shmget", "personality", "ptrace"]
    errors = answers(sandbox, *names, "socketpair:1:2")
    assert all(errors[name] != _UNCONDITIONAL[name] for name in names), errors
    assert errors["socketpair:1:2"] == 0


def test_a_filter_that_the_kernel_does_not_accept_ends_the_run(
    sandbox_name: str, make_sandbox: Callable[..., Sandbox]
) -> None:
    """A broken filter is an error of the sandbox, and the program does not run without a filter."""
    broken = SeccompFilter(b"\xff" * 64, ())
    policy = {"defaultAction": "SCMP_ACT_NONE"} if sandbox_name == "docker" else (broken, ())
    sandbox = make_sandbox(sandbox_name, **_policy(sandbox_name, policy))
    with Workspace.create({}) as workspace, pytest.raises(SandboxError):
        sandbox.run(Command(["true"]), workspace, TIGHT)
    with pytest.raises(SandboxUnavailable):
        sandbox.probe()


def test_without_the_library_there_is_a_weakness_and_no_filter() -> None:
    """When libseccomp is missing, one sentence says what to install."""
    seccomp, weaknesses = find_filter("libseccomp-that-is-not-there.so")
    assert seccomp is None
    assert len(weaknesses) == 1 and "libseccomp2" in weaknesses[0] and "\n" not in weaknesses[0]
    with pytest.raises(SeccompError):
        build_filter("libseccomp-that-is-not-there.so")


def test_this_library_knows_the_whole_table() -> None:
    """No rule is left out silently: a call that a library does not know would be a weakness."""
    seccomp = build_filter()
    assert seccomp.unknown == () and seccomp.weaknesses == ()
    assert len(seccomp.program) % 8 == 0  # struct sock_filter
    assert "frobnicate" in SeccompFilter(b"", ("frobnicate",)).weaknesses[0]


def test_both_exports_hold_every_rule() -> None:
    """The profile for the container engine has the rules of the table, one for one, and is JSON."""
    profile = json.loads(json.dumps(docker_profile("x86_64")))
    assert profile["defaultAction"] == "SCMP_ACT_ALLOW" and len(profile["syscalls"]) == len(load_rules())
    for rule, entry in zip(load_rules(), profile["syscalls"], strict=True):
        assert (entry["names"], entry["errnoRet"]) == ([rule.syscall], rule.error)
        if rule.condition is not None:
            (argument,) = entry["args"]
            assert (argument["index"], argument["value"]) == (rule.condition.argument, rule.condition.first)
            assert argument["op"].endswith("MASKED_EQ" if rule.condition.operator == MASKED_EQUAL else "NE")
    with pytest.raises(ValueError, match="s390x"):
        docker_profile("s390x")


@pytest.mark.parametrize(
    "table",
    [
        'reason = "x"\nerror = "EWHAT"\nsyscalls = ["socket"]',
        'reason = "x"\nerror = "EPERM"\nsyscalls = ["socket"]\nif = 1',
        'reason = "x"\nerror = "EPERM"\nsyscalls = ["socket"]\nwhen = { argument = 0, above = [1] }',
        'reason = "x"\nerror = "EPERM"\nsyscalls = ["socket"]\nwhen = { argument = 0, not = [1, 2] }',
    ],
    ids=["unknown-errno", "unknown-field", "unknown-condition", "two-values"],
)
def test_a_mistake_in_the_table_is_an_error(tmp_path: Path, table: str) -> None:
    """It is never a rule that is dropped."""
    (tmp_path / "table.toml").write_text(f"[[rules]]\n{table}\n")
    with pytest.raises(ValueError):
        load_rules(tmp_path / "table.toml")


@pytest.mark.parametrize("family", ["gcc", "clang"])
@pytest.mark.parametrize("stage", ["-c", "-oprogram"])
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_compilers_and_linkers_work_under_the_filter(
    sandbox: Sandbox, family: str, stage: str, language: str
) -> None:
    """The filter forbids nothing that compiling, assembling or linking needs."""
    name = program(sandbox, family)
    if language == "cpp":
        name = name.replace("gcc", "g++").replace("clang", "clang++")
    source = '#include <stdlib.h>\nint main(void) { return atoi("0"); }\n'
    result = compile_in(sandbox, [name, "-O2", "-g", stage, f"a.{language}"], {f"a.{language}": source})
    assert result.exit_code == 0, result.stderr
