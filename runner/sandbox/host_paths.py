"""What jobs may read of the host or of the image, by which paths and variables: the same in every sandbox.

The compilers of the distribution are below /usr. Those that come from elsewhere (zig, tsc) and the caches
that were filled when they were installed are in one folder, which jobs see as /compilers: in the image it
has that name, on a developer's machine it is .setup/compilers (bin/setup fills it). Nothing here may be
writable by jobs, and nothing may be a secret. So of /usr jobs see only what compilers need: administrators
keep settings in /usr/etc and /usr/local/etc (npm its tokens), data in /usr/local/var, sources in /usr/src.

To show jobs one more directory: add it to `BELOW_USR`, after looking at what else is in it.
"""

import os
import shutil
from glob import glob
from pathlib import Path

from runner.sandbox.base import Command, SandboxError
from runner.workspace import Workspace

# Where jobs see the compilers that are not the distribution's.
COMPILERS = "/compilers"

# Where a compiler may be called from: distribution packages, what an image adds by hand, and our own folder.
PATH = f"/usr/local/bin:/usr/bin:/bin:{COMPILERS}/bin"

# The private directory for temporary files, as jobs see it.
TMP = "/tmp"  # noqa: S108 (inside the sandbox, where nobody else is)

# The root directories that are links into /usr on a merged host and directories on others.
USR_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# What compilers need of /usr and of /usr/local: programs, libraries, headers, folders of other targets (such
# as aarch64-linux-gnu), and the place where Go's own archives are unpacked. /usr/share is for everything that
# a host has; these are the parts of it that compilers of distributions use.
BELOW_USR = (
    "bin", "sbin", "include", "lib", "lib32", "lib64", "libx32", "libexec",
    "*-linux-*", "*-w64-mingw32", "*-none-*",
    "share/clang*", "share/gcc*", "share/go-[0-9]*", "share/golang*", "share/llvm*", "share/nodejs",
    "share/zig*",
)  # fmt: skip
_GO = "/usr/local/go"

_OWN_COMPILERS = Path(__file__).resolve().parents[2] / ".setup" / "compilers"


def base_env(home: str, tmp: str) -> dict[str, str]:
    """The environment variables that every job has. Nothing of the runner's is among them."""
    return {"PATH": PATH, "HOME": home, "TMPDIR": tmp, "LANG": "C.UTF-8"}


def read_only(root: str = "") -> tuple[str, ...]:
    """The directories that jobs may read, by their names below `root`; `USR_DIRECTORIES` come on top.

    /etc/alternatives holds the links behind names such as /usr/bin/c++, and nothing secret; Debian's JDK
    keeps a file in /etc that it cannot start without (jvm.cfg).
    """
    java = sorted(path.removeprefix(root) for path in glob(f"{root}/etc/java-*-openjdk"))
    patterns = [*(f"{usr}/{name}" for usr in ("/usr", "/usr/local") for name in BELOW_USR), _GO]
    found = [path.removeprefix(root) for pattern in patterns for path in sorted(glob(f"{root}{pattern}"))]
    return (*(path for path in found if os.path.isdir(root + path)), "/etc/alternatives", *java)


def compilers_folder() -> Path | None:
    """The folder of the host that jobs see as `COMPILERS`; None where the host has no such folder."""
    return next((path for path in (Path(COMPILERS), _OWN_COMPILERS) if path.is_dir()), None)


def compilers_mounts(folder: Path) -> list[str]:
    """The arguments that make bwrap show `folder` as `COMPILERS`.

    Some compilers find their own files through a link, which is made as well: ``self/zig`` becomes
    ``/compilers/zig``.
    """
    arguments = []
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            arguments += ["--ro-bind", str(entry), f"{COMPILERS}/{entry.name}"]
    for link in sorted((folder / "self").glob("*")):
        program = link.resolve().relative_to(folder.resolve())
        arguments += ["--symlink", f"{COMPILERS}/{program}", f"{COMPILERS}/{link.name}"]
    return arguments


def find_compiler(name: str, root: str = "") -> str | None:
    """The host's path of a compiler that jobs can call by `name`, or None.

    `root` is the directory of the host that is the root of jobs; empty when it is the host's own root.
    """
    if root:
        folders = [f"{root}{folder}" for folder in PATH.split(os.pathsep)]
        return shutil.which(f"{root}{name}" if name.startswith("/") else name, path=os.pathsep.join(folders))
    own = compilers_folder()
    folders = [os.environ.get("PATH", os.defpath), *([f"{own}/bin"] if own else [])]
    return shutil.which(name, path=os.pathsep.join(folders))


def check_arguments(command: Command) -> None:
    """Raise SandboxError, before anything starts, for what no program can be started with."""
    if not command.argv or not command.argv[0]:
        raise SandboxError("no program was named")
    if any("\0" in argument for argument in command.argv):
        raise SandboxError("an argument contains a NUL character")


def check_program(command: Command, workspace: Workspace, root: str = "") -> None:
    """The same, and also for a program that is not in the sandbox. `root` is as for `find_compiler`."""
    check_arguments(command)
    program = command.argv[0]
    if "/" not in program:
        path = shutil.which(program, path=":".join(_on_host(folder, root) for folder in PATH.split(":")))
    elif program.startswith("/"):
        inside = program.startswith(("/usr/", *(f"{directory}/" for directory in USR_DIRECTORIES)))
        path = root + program if inside else None
    else:
        path = str(workspace.path / program)
    if path is None or not os.access(path, os.X_OK):
        raise SandboxError(f"the sandbox has no program {program}")


def _on_host(directory: str, root: str) -> str:
    """The host's path of a directory that jobs see as `directory`."""
    own = compilers_folder()
    if root or own is None or not directory.startswith(f"{COMPILERS}/"):
        return root + directory
    return f"{own}{directory.removeprefix(COMPILERS)}"
