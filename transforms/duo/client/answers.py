"""What an answer of a log endpoint holds: rows as Duo sent them, its page cursor and its count.

Place in the flow: the client hands over the body of each answer with status 200; ``paging`` is told what was in it. The list of
child accounts of an MSP, which the client reads too, is a small one beside that.

Contract: the usual page is decoded as a whole, in one call into msgspec, and its rows are slices of its bytes. A page that is
refused so, because of one odd row or of odd metadata, is taken apart (``loose_json``): what a user calls itself when it logs in
must not blind a log. The other rows are then as they were sent. The odd one is handed on as well, as one line: a control
character in one of its texts becomes its JSON escape, ``NaN`` a text; whether it can be delivered is the format's word.
Where the page cursor cannot be read, ``Answer.cursor_lost`` says so, and reading goes on by time.
A body without a whole list of rows (cut short, HTML, a refusal) raises ``RetryLater`` (``malformed``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from transforms.duo.client import loose_json
from transforms.duo.log_types.base import LogType
from transforms.duo.log_types.decoding import as_text
from transforms.duo.position.paging import Answer
from transforms.errors import RetryLater
from transforms.process.plural import counted

_BOM = b"\xef\xbb\xbf"
_LONGEST_OFFSET = 1000


@cache
def _page_decoder(rows_key: str) -> Callable[[bytes], Any]:
    """Decodes an answer that has its rows under a key of ``response``, or, without one, as the response; rows stay raw."""
    response: Any = list[msgspec.Raw] | None
    if rows_key:
        fields: list[Any] = [(rows_key, response, None), ("metadata", dict[str, Any] | None, None)]
        response = msgspec.defstruct("Response", fields) | None
    return msgspec.json.Decoder(msgspec.defstruct("Envelope", [("stat", str), ("response", response, None)])).decode


def read_page(body: bytes, log_type: LogType) -> Answer:
    """The page that a body holds. Raises RetryLater (``malformed``)."""
    try:
        envelope = _page_decoder(log_type.rows_key)(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError):
        return _taken_apart(body, log_type)
    response = envelope.response if envelope.stat == "OK" else None
    rows = response if isinstance(response, list) else getattr(response, log_type.rows_key or "-", None)
    if rows is None:
        raise malformed(log_type.path, body)
    # bytes() copies each row out of the body, so that one kept row does not keep a whole page in memory.
    raw = [bytes(row) for row in rows]
    if b"\n" in body or b"\r" in body:
        raw = [_on_one_line(row) for row in raw]
    return _answer(raw, getattr(response, "metadata", None) or {})


def read_children(body: bytes) -> list[dict[str, Any]]:
    """The child accounts that a body lists; what is odd in one of their names is U+FFFD. Raises RetryLater (``malformed``)."""
    try:
        text = body.removeprefix(_BOM).decode("utf-8", "replace")
        children = json.loads(text, strict=False)["response"]
        return [_without_surrogates(child) for child in children if isinstance(child, dict) and child.get("account_id")]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise malformed("the list of child accounts", body) from None


def malformed(what: str, body: bytes) -> RetryLater:
    """The error for a body that is not what was asked for."""
    kind = "HTML" if body.lstrip()[:1] == b"<" else "not the JSON of a log page"
    return RetryLater(f"{what} answered 200 with {counted(len(body), 'byte')} that are {kind}.", kind="malformed")


def _answer(rows: list[bytes], metadata: dict[str, Any], *, odd: int = 0) -> Answer:
    offset = metadata.get("next_offset")
    try:
        next_offset, lost = _normalised_offset(offset), False
    except ValueError:
        next_offset, lost = None, True
    return Answer(rows, next_offset, _normalised_total(metadata.get("total_objects")), cursor_lost=lost, odd_rows=odd)


def _on_one_line(row: bytes) -> bytes:
    """A row without line breaks: between two JSON tokens they mean nothing, inside a string JSON forbids them."""
    if b"\n" in row or b"\r" in row:
        return msgspec.json.format(row, indent=-1)
    return row


# --- a page that is no JSON as a whole -----------------------------------------------------------------------------------


def _taken_apart(body: bytes, log_type: LogType) -> Answer:
    try:
        envelope = loose_json.members(body, len(_BOM) if body.startswith(_BOM) else 0)
        start = envelope[b"response"][0]
        if body[slice(*envelope[b"stat"])] != b'"OK"':
            raise malformed(log_type.path, body)
        metadata = None
        if log_type.rows_key:
            response = loose_json.members(body, start)
            start = response[log_type.rows_key.encode()][0]
            metadata = response.get(b"metadata")
        spans = loose_json.elements(body, start)
    except (loose_json.NotCut, KeyError):
        raise malformed(log_type.path, body) from None
    rows, odd = [], 0
    for begin, end in spans:
        row = body[begin:end]
        if not _is_well(row):
            odd += 1
            row = loose_json.on_one_line(row)
        elif b"\n" in row or b"\r" in row:
            row = _on_one_line(row)
        rows.append(row)
    told = _loose_metadata(body[slice(*metadata)]) if metadata else {}
    # A cursor that is somewhere in metadata that nobody can read is not "no more pages".
    return _answer(rows, {"next_offset": {}} if told is None else told, odd=odd)


def _is_well(row: bytes) -> bool:
    try:
        _decode_raw(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError):
        return False
    return True


# A raw value is checked and not built.
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def _without_surrogates(child: dict[str, Any]) -> dict[str, Any]:
    return {name: as_text(value) if isinstance(value, str) else value for name, value in child.items()}


def _loose_metadata(raw: bytes) -> dict[str, Any] | None:
    """What can be read of the metadata; None where nothing can."""
    try:
        metadata = json.loads(loose_json.without_depth(raw, 3).decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError):
        return None
    if metadata is None:
        return {}
    return metadata if isinstance(metadata, dict) else None


def _normalised_offset(offset: Any) -> str | None:
    """Duo's three shapes of a cursor (list of two, text, number) as the one text that it takes back. ValueError for others."""
    parts = offset if isinstance(offset, list) else [offset]
    if not all(part is None or (isinstance(part, str | int) and not isinstance(part, bool)) for part in parts):
        raise ValueError
    text = ",".join(str(part) for part in parts) if isinstance(offset, list) else str("" if offset is None else offset)
    if len(text) > _LONGEST_OFFSET or not text.isprintable():
        raise ValueError
    return text or None


def _normalised_total(total: Any) -> int | None:
    """Duo's two shapes of a count (number, or value with relation) as a number; None where it tells none, or only a bound."""
    if isinstance(total, dict):
        total = total.get("value") if total.get("relation", "eq") == "eq" else None
    return total if isinstance(total, int) and not isinstance(total, bool) and 0 <= total < 2**63 else None
