"""Turns a compiler's output into text that can be stored and shown anywhere.

A job chooses many of these bytes. The result is valid Unicode without characters that control a
terminal or reorder a line: invalid UTF-8, control characters and bidirectional controls become visible
escapes (`\\xff`, `\\x1b`, `\\u202e`), so that nothing is lost and nothing has an effect. Everything else
stays as the compiler wrote it; HTML is escaped where it is made.
"""

import re

_UTF8_BYTES_AT_MOST = 4

# Control characters except tab and newline; line separators, where some programs break lines; and the
# characters that reorder text (bidirectional embeddings, overrides, isolates and marks).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def clean_text(data: bytes, *, truncated: bool = False) -> str:
    """Decode the bytes of one output stream.

    CR LF becomes LF, because compilers quote a source file with such line ends as it is. With `truncated`
    the end was cut off: half of a character at the end is removed, and a last line says that it was cut.
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
    """`data` without the beginning of a UTF-8 sequence at its end, if there is one."""
    for length in range(1, min(_UTF8_BYTES_AT_MOST, len(data) + 1)):
        byte = data[-length]
        if byte < 0x80:
            break
        if byte >= 0xC0:
            expected = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-length] if length < expected else data
    return data
