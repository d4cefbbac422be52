"""Counts the messages in a compiler's output independently of the service.

It must not use runner/diagnostics: it is there to detect messages that the parsers miss or invent. It can be
simple because the corpus is ours: no file in it prints text that only looks like a message. To add a family,
add a function from the text to its messages to `COUNTERS`.
"""

import re
from collections import Counter
from collections.abc import Callable

# Severity (error or warning), file and line as printed; without a location, an empty name and 0.
Message = tuple[str, str, int]

_GNU = re.compile(r"(?m)^([^\s:][^:\n]*):(\d+):(?:\d+:)? (fatal error|error|warning): ")
_GNU_WITHOUT_PLACE = re.compile(r"(?m)^(?:[a-z][\w+.-]*: )?(fatal error|error|warning): ")
_GO = re.compile(r"(?m)^(?:\./)?([^\s:]+\.go):(\d+):(?:\d+:)? ")
_GO_WITHOUT_PLACE = re.compile(r"(?m)^(?:runtime\.\S+: |go: (?!finding|downloading))")
_JAVAC = re.compile(r"(?m)^([^\s:]+\.java):(\d+): (error|warning): ")
_JAVAC_WITHOUT_PLACE = re.compile(r"(?m)^(error|warning): ")
_PYTHON_PLACE = re.compile(r'^ *File "([^"]+)", line (\d+)')
_PYTHON_ERROR = re.compile(r"^(?:Sorry: )?\w*Error: (?:.* \((\S+), line (\d+)\)$)?")
_PYTHON_WARNING = re.compile(r"^(\S+):(\d+): \w*Warning: ")
_RUSTC = re.compile(r"^(error|warning)(?:\[E\d+\])?: (?!aborting due to|\d+ warnings? emitted)")
_RUSTC_PLACE = re.compile(r"^ *--> (\S+):(\d+):\d+$")
_TSC = re.compile(r"(?m)^(\S[^(\n]*)\((\d+),\d+\): (error) TS\d+: ")
_TSC_WITHOUT_PLACE = re.compile(r"(?m)^(error) TS\d+: ")
_GFORTRAN_PLACE = re.compile(r"^(\S+?):(\d+):")
_GFORTRAN = re.compile(r"^(?:f951: )?(Fatal Error|Error|Warning): ")
_ZIG = re.compile(r"(?m)^(\S[^:\n]*):(\d+):\d+: (error): ")
_ZIG_WITHOUT_PLACE = re.compile(r"(?m)^(error): ")


def _placed(placed: re.Pattern[str], bare: re.Pattern[str]) -> Callable[[str], Counter[Message]]:
    def count(text: str) -> Counter[Message]:
        messages = Counter((_severity(match[3]), match[1], int(match[2])) for match in placed.finditer(text))
        messages.update((_severity(match[1]), "", 0) for match in bare.finditer(text))
        return messages

    return count


def _severity(word: str) -> str:
    return "warning" if word.casefold() == "warning" else "error"


def _go(text: str) -> Counter[Message]:
    messages = Counter(("error", match[1], int(match[2])) for match in _GO.finditer(text))
    messages.update(("error", "", 0) for _ in _GO_WITHOUT_PLACE.finditer(text))
    return messages


def _python(text: str) -> Counter[Message]:
    messages: Counter[Message] = Counter()
    place = ("", 0)
    for line in text.splitlines():
        if match := _PYTHON_PLACE.match(line):
            place = (match[1], int(match[2]))
        elif match := _PYTHON_ERROR.match(line):
            messages["error", *((match[1], int(match[2])) if match[1] else place)] += 1
        elif match := _PYTHON_WARNING.match(line):
            messages["warning", match[1], int(match[2])] += 1
    return messages


def _rustc(text: str) -> Counter[Message]:
    messages: Counter[Message] = Counter()
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if match := _RUSTC.match(line):
            place = _RUSTC_PLACE.match(lines[number + 1]) if number + 1 < len(lines) else None
            # A message of several lines has its place below the last of them.
            for below in lines[number + 1 : number + 8]:
                if place or not below or _RUSTC.match(below):
                    break
                place = _RUSTC_PLACE.match(below)
            messages[_severity(match[1]), place[1] if place else "", int(place[2]) if place else 0] += 1
    return messages


def _gfortran(text: str) -> Counter[Message]:
    messages: Counter[Message] = Counter()
    place = ("", 0)
    for line in text.splitlines():
        if match := _GFORTRAN.match(line):
            messages[_severity(match[1]), *place] += 1
            place = ("", 0)
        elif match := _GFORTRAN_PLACE.match(line):
            place = (match[1], int(match[2]))
    return messages


_gnu = _placed(_GNU, _GNU_WITHOUT_PLACE)

# By family of the catalogue.
COUNTERS: dict[str, Callable[[str], Counter[Message]]] = {
    "gcc": _gnu,
    "clang": _gnu,
    "zig-cc": _gnu,
    "gfortran": _gfortran,
    "go": _go,
    "javac": _placed(_JAVAC, _JAVAC_WITHOUT_PLACE),
    "python": _python,
    "rustc": _rustc,
    "tsc": _placed(_TSC, _TSC_WITHOUT_PLACE),
    "zig": _placed(_ZIG, _ZIG_WITHOUT_PLACE),
}
