"""What happens to a host while jobs run, each in a mount namespace of its own: see test_host_trouble.py.

    unshare --mount --propagation private python -m tests.faults.host_trouble <trouble> <folder>

Starts the API with embedded workers, makes the trouble, and prints one line of JSON for each job.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.processes import ApiProcess

_BWRAP = "/usr/bin/bwrap"
# Several seconds for the front end: long enough to be killed while it runs.
_LONG = "#include <stdio.h>\n" + "".join(
    f'int f{number}(int a) {{ return printf("%d", a * {number}); }}\n' for number in range(15_000)
)


def _report(name: str, api: ApiProcess, source: str = "int x;\n") -> None:
    """Submit a job, wait for its end, and print what it came to."""
    answer = api.call("POST", "/api/v1/compile?wait=25", {"language": "c", "source_code": source}).json()
    keep = {key: answer.get(key) for key in ("status", "verdict", "reason", "error")}
    sys.stdout.write(json.dumps({"name": name} | keep) + "\n")
    sys.stdout.flush()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in tasks for child in children.read_text().split()]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""  # it has ended


def _sandbox_vanishes(folder: Path, start: Callable[..., ApiProcess]) -> None:
    """The program that makes the sandbox is no program, fails, is killed, and comes back."""
    replacements = {"empty": "", "fails": "#!/bin/sh\nexit 7\n", "killed": "#!/bin/sh\nkill -9 $$\n"}
    with start() as api:
        _report("before", api)
        for name, text in replacements.items():
            path = folder / name
            path.write_text(text)
            path.chmod(0o755 if text else 0o644)
            _mount("--bind", str(path), _BWRAP)
            _report(name, api)
            subprocess.run(["umount", _BWRAP], check=True)
        _report("after", api)


def _sandbox_is_killed(folder: Path, start: Callable[..., ApiProcess]) -> None:
    """bwrap is killed while the compiler works in it."""
    del folder
    with start() as api:
        _report("before", api)
        job = api.call("POST", "/api/v1/compile", {"language": "c", "source_code": _LONG}).json()["job_id"]
        bwrap = None
        while bwrap is None:
            bwrap = next((pid for pid in _children(api.pid) if _name(pid) == "bwrap"), None)
            time.sleep(0.01)  # between two looks at /proc
        os.kill(bwrap, signal.SIGKILL)
        answer: dict[str, Any] = api.call("GET", f"/api/v1/compile/{job}?wait=25").json()
        keep = {key: answer.get(key) for key in ("status", "verdict", "reason", "error")}
        sys.stdout.write(json.dumps({"name": "killed"} | keep) + "\n")
        _report("after", api)


def _no_space(folder: Path, start: Callable[..., ApiProcess]) -> None:
    """The folder for workspaces is full, has space again, and is read-only for a while."""
    space = folder / "space"
    space.mkdir()
    _mount("-t", "tmpfs", "-o", "size=4m", "none", str(space))
    with start(TMPDIR=str(space)) as api:
        _report("before", api)
        filler = os.open(space / "filler", os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(filler, bytes(4096)):
                pass
        except OSError:
            os.close(filler)
        _report("full", api)
        (space / "filler").unlink()
        _report("after", api)
        _mount("-o", "remount,ro", str(space))
        _report("read-only", api)
        _mount("-o", "remount,rw", str(space))
        _report("at the end", api)


def _compiler_is_replaced(folder: Path, start: Callable[..., ApiProcess]) -> None:
    """gcc is an older one for a while, and then no program."""
    names = (path.name.removeprefix("gcc-") for path in Path("/usr/bin").glob("gcc-*"))
    oldest, *_, newest = sorted(int(name) for name in names if name.isdigit())
    check = "#if __GNUC__ != {}\n#error another\n#endif\n"
    older, newer = check.format(oldest), check.format(newest)
    program = str(Path(f"/usr/bin/gcc-{newest}").resolve())
    (folder / "empty").write_text("")
    with start() as api:
        _report("before", api, newer)
        _mount("--bind", str(Path(f"/usr/bin/gcc-{oldest}").resolve()), program)
        _report("with the older one", api, older)
        subprocess.run(["umount", program], check=True)
        _report("with the newer one", api, newer)
        _mount("--bind", str(folder / "empty"), program)
        _report("without one", api, newer)
        subprocess.run(["umount", program], check=True)


TROUBLES = {
    "sandbox-vanishes": _sandbox_vanishes,
    "sandbox-killed": _sandbox_is_killed,
    "space": _no_space,
    "compiler": _compiler_is_replaced,
}


def main() -> None:
    """Run one of `TROUBLES`."""
    trouble, folder = sys.argv[1:]

    def start(**env: str) -> ApiProcess:
        return ApiProcess({"COMPILERS": "c/gcc-*", "SANDBOX": "bubblewrap", "MAX_WORKERS": "1", **env})

    TROUBLES[trouble](Path(folder), start)


if __name__ == "__main__":
    main()
