"""The corpus of the differential test: programs that people would write, and mistakes in them.

``programs/<language>.toml`` holds good programs and mistakes. A mistake is an edit of one program (`find` is
replaced by `replace`, once) that a person would make in that language. Every program is also broken
mechanically, at places that a hash chooses: a token too few, too many, in the wrong place, misspelt, of
another kind, a line missing or doubled, the end cut off. So the corpus is the same on every machine. The
expected result of a file is not written anywhere: it is what the bare compiler does.

To extend it, add a program, or a mistake, to the language's file.
"""

import random
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

_PROGRAMS = Path(__file__).resolve().parent / "programs"
_TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\w\s]')


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Program(_Entry):
    name: str
    files: dict[str, str]


class _Mistake(_Entry):
    name: str
    program: str
    find: str
    replace: str


class _Language(_Entry):
    # Number of mechanical mistakes in each program: fewer for compilers that need a second for a file.
    mechanical: int
    programs: tuple[_Program, ...]
    mistakes: tuple[_Mistake, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """The files of one request. `name` is the program and the mistake in it."""

    name: str
    files: dict[str, str]


def languages() -> list[str]:
    """The languages of the corpus."""
    return sorted(path.stem for path in _PROGRAMS.glob("*.toml"))


def samples(language: str) -> list[Sample]:
    """All of a language's files, each different from every other."""
    read = _Language.model_validate(
        tomllib.loads((_PROGRAMS / f"{language}.toml").read_text(encoding="utf-8"))
    )
    by_name = {program.name: program for program in read.programs}
    assert len(by_name) == len(read.programs), f"two programs of {language} have the same name"
    corpus = [Sample(program.name, program.files) for program in read.programs]
    corpus += [_edited(mistake, by_name[mistake.program]) for mistake in read.mistakes]
    for program in read.programs:
        corpus += _broken(language, program, read.mechanical)
    texts = {repr(sorted(sample.files.items())) for sample in corpus}
    assert len(texts) == len(corpus), f"two files of {language} are equal"
    return corpus


def _edited(mistake: _Mistake, program: _Program) -> Sample:
    where = [name for name, text in program.files.items() if text.count(mistake.find) == 1]
    assert len(where) == 1, f"{mistake.name}: {mistake.find!r} is not in {program.name} exactly once"
    text = program.files[where[0]].replace(mistake.find, mistake.replace)
    return Sample(f"{program.name}, {mistake.name}", {**program.files, where[0]: text})


def _broken(language: str, program: _Program, count: int) -> Iterator[Sample]:
    """`count` mechanical mistakes, all kinds in turn; all files differ, also from the program."""
    seen = {repr(sorted(program.files.items()))}
    kinds = list(_KINDS)
    start = zlib.crc32(f"{language} {program.name}".encode())
    number = 0
    while len(seen) <= count:
        kind = kinds[(start + number) % len(kinds)]
        chance = random.Random(zlib.crc32(f"{language} {program.name} {kind} {number}".encode()))
        number += 1
        name = chance.choice(sorted(program.files))
        files = {**program.files, name: _KINDS[kind](program.files[name], chance)}
        key = repr(sorted(files.items()))
        if key not in seen:
            seen.add(key)
            yield Sample(f"{program.name}, {kind} ({number})", files)


def _without(text: str, chance: random.Random) -> str:
    token = _pick(text, chance, r"[^\w\s]|\w+")
    return text[: token.start()] + text[token.end() :]


def _without_bracket(text: str, chance: random.Random) -> str:
    token = _pick(text, chance, r"[()\[\]{}]")
    return text[: token.start()] + text[token.end() :]


def _doubled(text: str, chance: random.Random) -> str:
    token = _pick(text, chance, r"[^\w\s]|\w+")
    return f"{text[: token.end()]} {text[token.start() :]}"


def _swapped(text: str, chance: random.Random) -> str:
    tokens = [token for token in _TOKEN.finditer(text) if not token[0].startswith('"')]
    at = chance.randrange(len(tokens) - 1)
    left, right = tokens[at], tokens[at + 1]
    between = text[left.end() : right.start()]
    return f"{text[: left.start()]}{right[0]}{between or ' '}{left[0]}{text[right.end() :]}"


def _misspelt(text: str, chance: random.Random) -> str:
    token = _pick(text, chance, r"[A-Za-z_]\w{3,}")
    word = token[0]
    at = chance.randrange(1, len(word) - 1)
    return f"{text[: token.start()]}{word[:at]}{word[at + 1]}{word[at]}{word[at + 2 :]}x{text[token.end() :]}"


def _other_kind(text: str, chance: random.Random) -> str:
    """A number becomes a string, or a string a number."""
    token = _pick(text, chance, r'\d+(?:\.\d+)?|"[^"\n]*"')
    other = "42" if token[0].startswith('"') else '"text"'
    return text[: token.start()] + other + text[token.end() :]


def _stray(text: str, chance: random.Random) -> str:
    token = _pick(text, chance, r"\w+")
    return f"{text[: token.start()]}{chance.choice('@$?;)')} {text[token.start() :]}"


def _line_gone(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    del lines[chance.choice([at for at, line in enumerate(lines) if line.strip()])]
    return "".join(lines)


def _line_twice(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = chance.choice([at for at, line in enumerate(lines) if line.strip()])
    return "".join([*lines[: at + 1], *lines[at:]])


def _cut_off(text: str, chance: random.Random) -> str:
    return text[: _pick(text, chance, r"\w+|[^\w\s]").end()] + "\n"


def _open_string(text: str, chance: random.Random) -> str:
    quotes = [match.start() for match in re.finditer('"', text)]
    if not quotes:
        return _without(text, chance)
    at = chance.choice(quotes)
    return text[:at] + text[at + 1 :]


_KINDS: dict[str, Callable[[str, random.Random], str]] = {
    "a token is missing": _without,
    "a name is misspelt": _misspelt,
    "a bracket is missing": _without_bracket,
    "a line is missing": _line_gone,
    "two tokens are swapped": _swapped,
    "a literal is of another kind": _other_kind,
    "a line is there twice": _line_twice,
    "a token is there twice": _doubled,
    "the end is cut off": _cut_off,
    "a character is stray": _stray,
    "a quote is missing": _open_string,
}


def _pick(text: str, chance: random.Random, pattern: str) -> re.Match[str]:
    """A token that matches the pattern, or any other if none does."""
    tokens = [token for token in _TOKEN.finditer(text) if re.fullmatch(pattern, token[0])]
    return chance.choice(tokens or list(_TOKEN.finditer(text)))
