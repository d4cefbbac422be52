"""Compiler output as text: nothing is lost, and nothing acts on a terminal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.sanitize import clean_text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"main.c:1:2: error: x\n\tint y;\n", "main.c:1:2: error: x\n\tint y;\n"),
        ("‘größe’ 变量 🙂".encode(), "‘größe’ 变量 🙂"),
        (b"a\xff\xfeb", "a\\xff\\xfeb"),
        (b"cut \xe5\x8f", "cut \\xe5\\x8f"),
        (b"\x1b[31mred\x1b[0m\x07", "\\x1b[31mred\\x1b[0m\\x07"),
        (b"a\x00b\x08c\x7f", "a\\x00b\\x08c\\x7f"),
        ("\u009b31m".encode(), "\\x9b31m"),
        (b"quoted\r\nline\rback", "quoted\nline\\x0dback"),
        ("access = \u202eresu\u2066".encode(), "access = \\u202eresu\\u2066"),
        ("one\u2028two\u0085three".encode(), "one\\u2028two\\x85three"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>"),
        (b"", ""),
    ],
)
def test_text_is_kept_and_control_characters_become_visible(data: bytes, text: str) -> None:
    """Ordinary text is unchanged; invalid bytes and control characters become escapes."""
    assert clean_text(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"abc", "abc\n[output truncated]\n"),
        (b"abc\n", "abc\n[output truncated]\n"),
        (b"", "[output truncated]\n"),
        ("ab€".encode()[:-1], "ab\n[output truncated]\n"),
        ("ab€".encode()[:-2], "ab\n[output truncated]\n"),
        ("ab🙂".encode()[:-1], "ab\n[output truncated]\n"),
        ("ab€".encode(), "ab€\n[output truncated]\n"),
        (b"ab\xff\x80\x80\x80\x80", "ab\\xff\\x80\\x80\\x80\\x80\n[output truncated]\n"),
    ],
)
def test_a_cut_is_marked_and_cuts_no_character(data: bytes, text: str) -> None:
    """Truncated output ends with a line that says so, and never with half a character."""
    assert clean_text(data, truncated=True) == text


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_become_harmless_json(data: bytes, truncated: bool) -> None:
    """Whatever a job prints survives JSON, and has no control character but newline and tab."""
    text = clean_text(data, truncated=truncated)
    assert json.loads(json.dumps(text)) == text
    assert text.encode().decode() == text
    assert not [c for c in text if c not in "\n\t" and (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0)]
