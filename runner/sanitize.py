"""What a compiler wrote, made into text that can be stored and shown anywhere.

A job chooses many of these bytes. The text that leaves here is valid Unicode without anything
that acts on a terminal or turns a line around: invalid UTF-8, control characters and
bidirectional controls appear as visible escapes (`\\xff`, `\\x1b`, `\\u202e`), so that nothing is
lost and nothing is done. Everything else is as the compiler wrote it; escaping for HTML is the
business of whoever makes HTML.
"""

import re

_UTF8_BYTES_AT_MOST = 4

# Control characters except tab and newline; line separators, which some readers break at; and the
# controls that reorder text (bidirectional embeddings, overrides, isolates and marks).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean_text(data: bytes, *, truncated: bool = False) -> str:
    """Decode the bytes of one output stream.

    CR LF becomes LF, as a source file with such line ends is quoted with them. With `truncated`
    the end was cut off: a character that was cut in half goes, and a last line says so.
    """
    if truncated:
        data = _without_partial_character(data)
    text = data.decode(errors="backslashreplace").replace("\r\n", "\n")
    text = _UNSAFE.sub(_escape, text)
    if truncated:
        text = f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}[output truncated]\n"
    return text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _without_partial_character(data: bytes) -> bytes:
    """Drop the beginning of a UTF-8 sequence at the very end, if there is one."""
    for length in range(1, min(_UTF8_BYTES_AT_MOST, len(data) + 1)):
        byte = data[-length]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            expected = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-length] if length < expected else data
    return data
