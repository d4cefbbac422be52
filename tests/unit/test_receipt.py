"""The receipt of a result: its shell line runs the same command, also with hostile names and values."""

import os
import shlex
import subprocess
from pathlib import Path

from chalicelib.api.receipt import receipt, reproduce
from tests.support.factories import make_environment, make_result

HOSTILE = ["prog", "-DX='a b'", "-DY=$(touch owned)", "`x`", "a;b", "é", "--", "main file.cpp", "$HOME", '"']


def test_a_receipt_names_command_version_image_and_a_line_that_runs_it_again() -> None:
    """All four come from the stored result."""
    environment = make_environment(version_text="g++-12 (Debian 12.2.0-14) 12.2.0", image="example/gcc:12")
    result = make_result("0" * 32, environment=environment, command=("g++-12", "-c", "main.cpp"))
    assert receipt(result) == {
        "argv": ["g++-12", "-c", "main.cpp"],
        "version": "g++-12 (Debian 12.2.0-14) 12.2.0",
        "image": "example/gcc:12",
        "reproduce": 'docker run --rm --network none --volume "$PWD:/src" --workdir /src '
        "--env LC_ALL=C.UTF-8 --entrypoint g++-12 example/gcc:12 -c main.cpp",
    }


def test_without_an_image_the_line_is_the_command_itself() -> None:
    """It sets the locale and the variables that the compiler had."""
    command = ("go", "build", "./...")
    assert reproduce(command, {}, "") == "env LC_ALL=C.UTF-8 go build ./..."
    assert reproduce(command, {"GOOS": "windows", "GOARCH": "amd64"}, "") == (
        "env GOARCH=amd64 GOOS=windows LC_ALL=C.UTF-8 go build ./..."
    )
    assert "--env GOOS=windows --env LC_ALL=C.UTF-8 --entrypoint go image build" in reproduce(
        command, {"GOOS": "windows"}, "image"
    )


def test_the_line_prints_what_the_result_shows() -> None:
    """Options for the service's parser are in `argv`, but not in the line for people."""
    command = ("rustc", "--error-format=json", "main.rs")
    receipt_json = receipt(make_result("0" * 32, environment=make_environment(), command=command))
    assert receipt_json is not None
    assert (receipt_json["argv"], receipt_json["reproduce"]) == (
        list(command),
        "env LC_ALL=C.UTF-8 rustc main.rs",
    )


def test_an_environment_without_version_text_still_has_a_version() -> None:
    """Older releases registered no version text: family and number replace it."""
    receipt_json = receipt(make_result("0" * 32, environment=make_environment(), command=("g++-12",)))
    assert receipt_json is not None and receipt_json["version"] == "gcc 12.2.0"


def test_without_a_compiler_run_there_is_no_receipt() -> None:
    """A cancelled job has neither command nor environment."""
    assert receipt(make_result("0" * 32)) is None


def _run(line: str, folder: Path) -> list[str]:
    """The arguments that a shell gives to the first program of `line`, here one that prints them."""
    for name in ("prog", "docker"):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nfor word in "$0" "$@"; do printf "%s\\0" "$word"; done\n')
        program.chmod(0o755)
    env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    # The line is made for a shell, so only a shell can test it.
    run = subprocess.run(["sh", "-c", line], cwd=folder, env=env, capture_output=True, check=True)
    assert not (folder / "owned").exists()
    return [word.decode() for word in run.stdout.split(b"\0")[:-1]]


def test_a_shell_gives_the_compiler_exactly_the_words_of_the_command(tmp_path: Path) -> None:
    """Spaces, quotes, dollars, backquotes and semicolons arrive as they are."""
    line = reproduce(HOSTILE, {"NAME": "a b; touch owned"}, "")
    assert _run(line, tmp_path)[1:] == HOSTILE[1:]


def test_a_shell_gives_the_container_exactly_the_words_of_the_command(tmp_path: Path) -> None:
    """The mounted folder is the current one; image and arguments come last."""
    words = _run(reproduce(HOSTILE, {"NAME": "a b; touch owned"}, "image"), tmp_path)
    assert f"{tmp_path}:/src" in words
    assert words[-len(HOSTILE) :] == ["image", *HOSTILE[1:]]
    assert "NAME=a b; touch owned" in words
    assert words[words.index("--entrypoint") + 1] == "prog"
    assert shlex.join(words)
