"""Whether a regular expression reads any text in linear time, told from its shape.

`re` backtracks: a stretch that may end at several places is tried with each of them. One such stretch in a
line is linear, two are quadratic. `ambiguity` follows a pattern from left to right and says where a second
one begins. What it knows of a text is which characters may come next and which came before.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from re import _constants as sre  # type: ignore[attr-defined]  # no stubs: it is private
from re import _parser  # type: ignore[attr-defined]  # no stubs: it is private
from typing import Any

# Enough characters to tell the classes of our patterns apart: ASCII, a letter and two quotation marks.
_ALPHABET = [*map(chr, range(128)), "é", "‘", "’"]
_ALL = (1 << len(_ALPHABET)) - 1
_NEWLINE = 1 << _ALPHABET.index("\n")
# A repetition that may be longer is called unbounded. Numbers have up to 9 digits, options up to 16 lines.
_BOUNDED_AT_MOST = 32
_REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT)
_Items = Sequence[tuple[Any, Any]]


class AmbiguousPattern(ValueError):
    """A pattern that may need more than linear time."""


@dataclass(frozen=True)
class _State:
    """What is known at a place in a pattern: sets of characters are masks over `_ALPHABET`.

    `before` may have come just before; `open` is the set of the stretch that may have ended at any of many
    places, or 0. A character outside of `open` fixes its end.
    """

    before: int
    open: int
    at_start: bool = False


def check_linear(pattern: re.Pattern[str], *, searched: bool = True) -> None:
    """Raises `AmbiguousPattern` unless the pattern is linear; `searched` if it may match anywhere."""
    items = list(_parser.parse(pattern.pattern, pattern.flags))
    # A search is a stretch of anything before the match; an anchor ends it.
    start = _State(before=_ALL if searched else 0, open=_ALL if searched else 0, at_start=True)
    once = not searched or items[:1] == [(sre.AT, sre.AT_BEGINNING_STRING)]
    _Walk(pattern.flags, once=once).sequence(items, start, follow=0, last=True)


class _Walk:
    def __init__(self, flags: int, *, once: bool) -> None:
        self._flags = flags
        self._once = once
        self._repeated = 0  # how many unbounded repetitions are around
        self._groups: dict[int, _Items] = {}

    def sequence(self, items: list[tuple[Any, Any]], state: _State, *, follow: int, last: bool) -> _State:
        """The state behind `items`. `follow` may come next; `last` if nothing behind them can fail."""
        for index, (op, value) in enumerate(items):
            rest = items[index + 1 :]
            first, empty = self._first(rest)
            # The rest of a line and its end always match.
            certain = not rest or (rest == [(sre.AT, sre.AT_END)] and self._is_any(op, value))
            state = self._item(
                op, value, state, follow=first | (follow if empty else 0), last=last and certain
            )
        return state

    def _is_any(self, op: Any, value: Any) -> bool:
        return op in _REPEATS and self._characters(list(value[2])) == _ALL & ~_NEWLINE

    def _item(self, op: Any, value: Any, state: _State, *, follow: int, last: bool) -> _State:
        if op is sre.SUBPATTERN:
            self._groups[value[0]] = list(value[3])
            return self.sequence(list(value[3]), state, follow=follow, last=last)
        if op is sre.ATOMIC_GROUP:
            return self.sequence(list(value), state, follow=follow, last=last)
        if op is sre.BRANCH:
            firsts = [self._first(list(branch))[0] for branch in value[1]]
            if self._repeated and sum(firsts) != _union(firsts):
                raise AmbiguousPattern("repeated alternatives begin alike")
            ends = [self.sequence(list(branch), state, follow=follow, last=last) for branch in value[1]]
            return _either(ends)
        if op in (sre.ASSERT, sre.ASSERT_NOT):
            self.sequence(list(value[1]), state, follow=0, last=True)
            return state
        if op is sre.AT:
            if value is sre.AT_END and not state.open & _NEWLINE:
                return replace(state, open=0)
            if value not in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
                return state
            return _State(before=_NEWLINE, open=0 if state.at_start else state.open)
        if op in _REPEATS:
            return self._repeat(op, value, state, follow=follow, last=last)
        if op is sre.GROUPREF:
            return replace(state, before=self._characters(self._groups[value]))
        characters = self._set(op, value)
        return _State(before=characters, open=state.open if characters & state.open else 0)

    def _repeat(self, op: Any, value: Any, state: _State, *, follow: int, last: bool) -> _State:
        at_least, at_most, body = value[0], value[1], list(value[2])
        first, _ = self._first(body)
        if at_most <= _BOUNDED_AT_MOST:
            if self._repeated and at_least < at_most and first & follow:
                raise AmbiguousPattern("a repeated part may be there or not")
            once = self.sequence(body, state, follow=follow | (first if at_most > 1 else 0), last=last)
            if at_most > 1:
                self.sequence(body, _either([state, once]), follow=follow | first, last=last)
            return _either([state, once])
        characters = self._characters(body)
        if characters & _NEWLINE and not self._once and not last:
            raise AmbiguousPattern(
                "a match may begin in each line, and a stretch reaches over all that follow"
            )
        ambiguous = bool(first & follow) and op is not sre.POSSESSIVE_REPEAT and not last
        if state.open and state.before & characters and not last:
            raise AmbiguousPattern("two stretches: the second may begin at many places")
        if not _is_character(body):
            self._repeated += 1
            inside = _State(before=state.before | self._last(body), open=0)
            # Twice: what the first turn leaves open meets the second.
            inside = self.sequence(body, inside, follow=first | follow, last=False)
            self.sequence(body, inside, follow=first | follow, last=False)
            self._repeated -= 1
        return _State(before=state.before | self._last(body), open=characters if ambiguous else state.open)

    def _first(self, items: _Items) -> tuple[int, bool]:
        """What `items` may begin with, and whether they may be empty."""
        begins = 0
        for op, value in items:
            mask, empty = self._first_of(op, value)
            begins |= mask
            if not empty:
                return begins, False
        return begins, True

    def _first_of(self, op: Any, value: Any) -> tuple[int, bool]:
        if op is sre.SUBPATTERN:
            return self._first(list(value[3]))
        if op is sre.ATOMIC_GROUP:
            return self._first(list(value))
        if op is sre.BRANCH:
            parts = [self._first(list(branch)) for branch in value[1]]
            return _union(mask for mask, _ in parts), any(empty for _, empty in parts)
        if op in _REPEATS:
            mask, empty = self._first(list(value[2]))
            return mask, empty or value[0] == 0
        if op in (sre.ASSERT, sre.ASSERT_NOT):
            return 0, True
        if op is sre.AT:
            end = value in (sre.AT_END, sre.AT_END_STRING)
            return (_NEWLINE if value is sre.AT_END else 0, False) if end else (0, True)
        if op is sre.GROUPREF:
            return self._first(self._groups.get(value, ()))
        return self._set(op, value), False

    def _last(self, items: _Items) -> int:
        """What `items` may end with: too much rather than too little."""
        op, value = items[-1]
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY):
            return self._set(op, value)
        return self._characters(items)

    def _characters(self, items: _Items) -> int:
        """All characters that `items` may match."""
        return _union(self._characters_of(op, value) for op, value in items)

    def _characters_of(self, op: Any, value: Any) -> int:
        if op is sre.SUBPATTERN:
            return self._characters(list(value[3]))
        if op is sre.ATOMIC_GROUP:
            return self._characters(list(value))
        if op is sre.BRANCH:
            return _union(self._characters(list(branch)) for branch in value[1])
        if op in _REPEATS:
            return self._characters(list(value[2]))
        if op in (sre.ASSERT, sre.ASSERT_NOT, sre.AT):
            return 0
        if op is sre.GROUPREF:
            return self._characters(self._groups.get(value, ()))
        return self._set(op, value)

    def _set(self, op: Any, value: Any) -> int:
        """The mask of an element for one character."""
        flags = self._flags & (re.IGNORECASE | re.DOTALL)
        data = _parser.SubPattern(_state_of(flags), [(op, value)])
        compiled = re._compiler.compile(data, flags)  # type: ignore[attr-defined]  # private as well
        return _union(1 << bit for bit, char in enumerate(_ALPHABET) if compiled.fullmatch(char))


def _state_of(flags: int) -> Any:
    state = _parser.State()
    state.flags = flags
    state.str = ""
    return state


def _is_character(body: _Items) -> bool:
    """Whether `body` is one character, perhaps with a look ahead."""
    return all(op in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY, sre.ASSERT_NOT) for op, _ in body)


def _either(states: Sequence[_State]) -> _State:
    return _State(
        before=_union(state.before for state in states),
        open=_union(state.open for state in states),
        at_start=any(state.at_start for state in states),
    )


def _union(masks: Any) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def words(pattern: re.Pattern[str]) -> list[str]:
    """The pieces of fixed text in a pattern, in its order, each once."""
    pieces = dict.fromkeys(
        "".join(piece) for piece in _pieces(list(_parser.parse(pattern.pattern, pattern.flags)))
    )
    return [text for text in pieces if len(text.strip()) > 1]


def _pieces(items: _Items) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for op, value in items:
        if op is sre.LITERAL:
            pieces[-1].append(chr(value))
            continue
        for inside in _parts(op, value):
            pieces += _pieces(inside)
        pieces.append([])
    return pieces


def _parts(op: Any, value: Any) -> list[_Items]:
    """The sequences inside of an element."""
    if op is sre.SUBPATTERN:
        return [list(value[3])]
    if op is sre.BRANCH:
        return [list(branch) for branch in value[1]]
    if op in _REPEATS:
        return [list(value[2])]
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [list(value[1])]
    return [list(value)] if op is sre.ATOMIC_GROUP else []
