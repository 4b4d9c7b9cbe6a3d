"""Cuts JSON that a strict reader refuses into its parts, without understanding the parts.

Place in the flow: below ``answers``, which takes a page apart with it where one odd row would cost all the others; below
``log_types.decoding``, which looks into rows that are nested too deeply.

Contract: knows texts, escapes, brackets, commas and colons, and nothing else. So it gets through control characters and bytes
that are no UTF-8 inside texts, lone surrogates, ``NaN``, numbers of any length and nesting of any depth; it does not recurse,
and takes time in proportion to the bytes. Where brackets do not match or a text does not end, it raises ``NotCut``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A text; a run of anything that is neither a text nor structure; or one character of structure.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^"{}\[\],:]+', re.DOTALL)
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = b" \t\r\n"
_CONTROL = re.compile(rb"[\x00-\x1f]")
_TEXT_OR_ODD = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\x00-\x1f]+|-?(?:NaN|Infinity)', re.DOTALL)
_CLOSES = {b"{": b"}", b"[": b"]"}

Span = tuple[int, int]


class NotCut(ValueError):
    """The brackets do not match, or a text does not end."""


def members(body: bytes, start: int = 0) -> dict[bytes, Span]:
    """Key → where its value is, of the object that begins at ``start`` or behind space; of a key that comes twice the last.

    Keys are as they are written, without their quotes. Raises NotCut.
    """
    found: dict[bytes, Span] = {}
    for begin, end in _parts(body, start, b"{"):
        name = _TEXT.match(body, begin)
        colon = _skip_space(body, name.end(), end) if name else end
        if name is None or body[colon : colon + 1] != b":":
            raise NotCut
        found[name.group()[1:-1]] = (_skip_space(body, colon + 1, end), end)
    return found


def elements(body: bytes, start: int = 0) -> list[Span]:
    """Where the elements of the list are that begins at ``start`` or behind space. Raises NotCut."""
    return list(_parts(body, start, b"["))


def on_one_line(row: bytes) -> bytes:
    """A row as JSON in one line: control characters inside its texts as the escapes that JSON has for them, outside as a space.

    ``NaN`` and the infinities, which JSON cannot write, become texts of that name. All other bytes stay as they are.
    """
    return _TEXT_OR_ODD.sub(_tidied, row)


def without_depth(row: bytes, deepest: int) -> bytes:
    """A row whose objects and lists below a depth are ``null``. Raises NotCut."""
    out: list[bytes] = []
    depth, kept_to = 0, 0
    for token in _TOKEN.finditer(row):
        text = token.group()
        if text in (b"{", b"["):
            depth += 1
            if depth == deepest + 1:
                out.append(row[kept_to : token.start()] + b"null")
        elif text in (b"}", b"]"):
            if depth == deepest + 1:
                kept_to = token.end()
            depth -= 1
    if depth:
        raise NotCut
    return b"".join(out) + row[kept_to:]


def _tidied(match: re.Match[bytes]) -> bytes:
    part = match.group()
    if part[:1] == b'"':
        return _CONTROL.sub(lambda control: b"\\u%04x" % ord(control.group()), part)
    return b" " if part[:1] < b" " else b'"%b"' % part


def _parts(body: bytes, start: int, opening: bytes) -> Iterator[Span]:
    """Where the parts between the commas of one object or list are, without the space around them."""
    start = _skip_space(body, start, len(body))
    if body[start : start + 1] != opening:
        raise NotCut
    open_brackets, at, part_from = bytearray(), start, start + 1
    while token := _TOKEN.match(body, at):
        at = token.end()
        text = token.group()
        if text in (b"{", b"["):
            open_brackets += _CLOSES[text]
            continue
        if text in (b"}", b"]"):
            if open_brackets[-1:] != text:
                raise NotCut
            open_brackets.pop()
        if not open_brackets or (text == b"," and len(open_brackets) == 1):
            begin, end = _without_space(body, part_from, token.start())
            if begin < end:
                yield begin, end
            part_from = at
        if not open_brackets:
            return
    raise NotCut  # the body ends before the brackets are closed, or inside a text


def _skip_space(body: bytes, at: int, end: int) -> int:
    while at < end and body[at] in _SPACE:
        at += 1
    return at


def _without_space(body: bytes, begin: int, end: int) -> Span:
    begin = _skip_space(body, begin, end)
    while end > begin and body[end - 1] in _SPACE:
        end -= 1
    return begin, end
