"""CEF's rules for writing: what is escaped, what is dropped, how long a value may be.

Place in the flow: called by ``standard`` and ``dls``, which decide what goes where.

Contract: the extension that ``write`` makes can be read back by any reader of the specification. A value cannot end its own
field, begin another one or begin another line, whoever chose it:
- ``\\`` → ``\\\\`` and ``=`` → ``\\=``; a pipe stays, because readers refuse it escaped.
- Line breaks (CR LF, CR, LF, and the three that Unicode adds: U+0085, U+2028, U+2029) → ``\\n``; TAB → a space; all other
  control characters are dropped; half a surrogate pair → U+FFFD.
- A text that holds a whole message does not look like one: ``CEF:`` before a digit → ``CEF: ``, and behind a line break ``<``
  before a digit → ``< ``. Graylog takes the last ``CEF:0`` of a line for its start; some readers unescape line breaks first.
- Spaces at both ends are dropped, readers do not keep them. What is empty then is left out with its key and its label.
- No value is longer than the specification allows, counted in bytes after escaping; a cut never parts a code point or an
  escape. An id is not cut but replaced by 40 hex digits of its SHA-256, so that two ids stay two.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import gt
from typing import NamedTuple

Field = tuple[str, str | None, int]
"""Key with ``=`` and the space in front, text or None, longest value in bytes."""

STRING = 1023  # most texts of the specification
CUSTOM_STRING = 4000
ACTION = 63
OUTCOME = 63
ID = 40
HOST = 100
DEVICE_ID = 255
NAME = 512
SRC = " src="
SRC_V6 = " c6a2Label=Source IPv6 Address c6a2="
LABEL = 128  # of flexString; that of the others may be longer

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MESSAGE = re.compile(r"CEF:(?=\d)|(?:(?<=\n)|(?<=\\n))<(?=\d)")
_CONTROLS: dict[int, str | None] = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_CONTROLS |= {ord("\t"): " ", ord("\n"): "\n"}
_NOT_IN_HEADER = re.compile(r"[^A-Za-z0-9 ._-]")
_MAX_LONG = 2**63 - 1


class Layout(NamedTuple):
    """Keys, and how long in bytes their values may be."""

    keys: tuple[str, ...]
    longest_bytes: tuple[int, ...]


def lay_out(keys: Iterable[str], longest_bytes: Iterable[int]) -> Layout:
    """A layout; to be kept where the same keys are written again and again."""
    return Layout(tuple(keys), tuple(longest_bytes))


def write(fields: Sequence[Field]) -> list[str]:
    """The fields that have a value, in their order: key and value in turn, each key with a space in front."""
    keys, texts, longest_bytes = zip(*fields, strict=True)
    return write_row(lay_out(keys, longest_bytes), texts)


def write_row(layout: Layout, texts: Sequence[str | None]) -> list[str]:
    """As ``write``, for whoever has a layout ready: no field is made only to be taken apart.

    Of each fact that there could be, a row has about half, so the loops over all of them are left to C.
    """
    values = list(filter(None, texts))
    # To look at all values at once costs half of looking at each.
    together = " ".join(values)
    if not _are_tidy(together):
        return _escaped_row(layout, texts)
    if "=" in together or "\\" in together:
        # One row in five: a domain's backslash, a JSON text. No tidy value holds a line break.
        values = _with_escapes("\n".join(values)).split("\n")
    sizes = map(len, values if together.isascii() else map(str.encode, values))
    if any(map(gt, sizes, compress(layout.longest_bytes, texts))):
        return _escaped_row(layout, texts)
    out = values + values
    out[::2] = compress(layout.keys, texts)
    out[1::2] = values
    return out


def _escaped_row(layout: Layout, texts: Sequence[str | None]) -> list[str]:
    out: list[str] = []
    for key, text, longest in zip(layout.keys, texts, layout.longest_bytes, strict=True):
        if text:
            value = text if _fits(text, longest) and _is_plain(text) else escaped(text, longest)
            if value:
                out += (key, value)
    return out


def _fits(text: str, longest_bytes: int) -> bool:
    return 4 * len(text) <= longest_bytes or (len(text) <= longest_bytes and text.isascii())


def _is_plain(text: str) -> bool:
    """Whether a text can be written as it is: nothing to escape, alter, drop or strip."""
    return _are_tidy(text) and "=" not in text and "\\" not in text


def _are_tidy(texts: str) -> bool:
    """Whether in texts, with a space between, is nothing to alter, to drop or to strip."""
    return (
        texts.isprintable()
        and "CEF:" not in texts
        and "\\n<" not in texts
        and "  " not in texts  # a space at the end of one, unless it is the first or the last
        and texts[:1] != " "
        and texts[-1:] != " "
    )


def escaped(text: str, longest_bytes: int) -> str:
    """One extension value, cleaned, escaped and cut."""
    if not text.isprintable():  # a control character, a line break or half a character may be among what is not
        text = _SURROGATE.sub("\ufffd", _LINE_BREAK.sub("\n", text)).translate(_CONTROLS)
    text = _MESSAGE.sub(r"\g<0> ", text)
    text = _with_escapes(text).replace("\n", "\\n").strip(" ")
    encoded = text.encode()
    return text if len(encoded) <= longest_bytes else _cut(encoded, longest_bytes)


def _with_escapes(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")


def _cut(encoded: bytes, longest_bytes: int) -> str:
    text = encoded[:longest_bytes].decode("utf-8", "ignore")
    # An odd number of backslashes at the end: the last one has lost its partner.
    if (len(text) - len(text.rstrip("\\"))) % 2:
        text = text[:-1]
    return text.rstrip(" ")


def identifier(text: str | None) -> str | None:
    """An id that fits ``externalId``."""
    if text is None or (len(text) <= ID and text.isascii()):
        return text
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= ID else hashlib.sha256(encoded).hexdigest()[:ID]


def whole_number(number: int | None) -> str | None:
    """A number for a key of the type long."""
    return str(number) if number is not None and -_MAX_LONG <= number <= _MAX_LONG else None


def source_address(address: str | None) -> tuple[str | None, str | None]:
    """What is written as ``SRC`` and as ``SRC_V6``: IPv6 has a key of its own, which needs its label."""
    return (None, address) if address and ":" in address else (address, None)


def constant(text: str | None, default: str, longest: int) -> str:
    """A header field or a label: words without any character that some reader splits or trips over, and never empty."""
    return _NOT_IN_HEADER.sub("_", text or "")[:longest].strip() or default
