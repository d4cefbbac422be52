"""What jobs may read of the host or of the image: the same places in every sandbox.

The compilers of the distribution lie below /usr. Those that come from elsewhere (zig, tsc) and the caches
that were filled when they were installed lie in one folder, which jobs see as /compilers: in the image it
has that name, on a developer's machine it is .setup/compilers (bin/setup fills it). Nothing here may be
writable by jobs, and nothing may be a secret.

To show jobs one more place: add it to `read_only`, and ask what else is in it.
"""

import os
import shutil
from glob import glob
from pathlib import Path

# Where jobs see the compilers that are not the distribution's.
COMPILERS = "/compilers"

# Where a compiler may be called from: distribution packages, what an image adds by hand, and our own folder.
PATH = f"/usr/local/bin:/usr/bin:/bin:{COMPILERS}/bin"

# The root directories that are links into /usr on a merged host and directories on others.
USR_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

_OWN_COMPILERS = Path(__file__).resolve().parents[2] / ".setup" / "compilers"


def read_only(root: str = "") -> tuple[str, ...]:
    """The directories that jobs may read, by their names below `root`, besides `USR_DIRECTORIES`.

    /etc/alternatives holds the links behind names such as /usr/bin/c++, and nothing secret; Debian's JDK
    keeps in /etc what it cannot start without (jvm.cfg).
    """
    java = sorted(path.removeprefix(root) for path in glob(f"{root}/etc/java-*-openjdk"))
    return ("/usr", "/etc/alternatives", *java)


def compilers_folder() -> Path | None:
    """The folder of the host that jobs see as `COMPILERS`; None where there is none."""
    return next((path for path in (Path(COMPILERS), _OWN_COMPILERS) if path.is_dir()), None)


def compilers_mounts(folder: Path) -> list[str]:
    """The arguments that make bwrap show `folder` as `COMPILERS`.

    With the links by which some compilers find themselves: ``self/zig`` becomes ``/compilers/zig``.
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

    `root` is the directory of the host that jobs have as their root, where they have another than the host.
    """
    if root:
        folders = [f"{root}{folder}" for folder in PATH.split(os.pathsep)]
        return shutil.which(f"{root}{name}" if name.startswith("/") else name, path=os.pathsep.join(folders))
    own = compilers_folder()
    folders = [os.environ.get("PATH", os.defpath), *([f"{own}/bin"] if own else [])]
    return shutil.which(name, path=os.pathsep.join(folders))
