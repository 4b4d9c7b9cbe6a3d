"""By what an event is known wherever it is met: in a row of Duo's, in a message of ours, in what a SIEM shows of it.

Place in the flow: an audit reckons the key of each message that an event becomes, and of everything that a destination shows;
where they are the same, it is the same event.

Contract: the key is Duo's own id, as it stands in the message of any of our formats, bare or behind a syslog header; where
there is none, a digest of the content, in which the order of a JSON object's members makes no difference. Never raises,
whatever the bytes are: what cannot be read has the digest of its bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_CEF = re.compile(rb"CEF:\d\|(?:(?:[^|\\]|\\.)*\|){6}(.*)", re.DOTALL)
_CEF_ID = re.compile(rb"(?:^| )externalId=((?:[^\\= ]|\\.)+)")
_LEEF = re.compile(rb"LEEF:2\.0\|(?:[^|]*\|){4}([^|]*)\|(.*)", re.DOTALL)
_LEEF_ID = b"eventId="
_HEX = re.compile(rb"0?x([0-9A-Fa-f]{2})")  # how LEEF names a delimiter
_STARTS = (b"{", b"CEF:", b"LEEF:")
_TEXTS = ("_raw", "_msg", "message", "event.original")
"""Under which names search engines show an event's text."""

_decode = msgspec.json.Decoder().decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError)


class Keys:
    """Reckons keys of one log's events.

    Args:
      id_field: of Duo's rows, as ``LogType`` has it.
      shown_as: the name under which the destination shows Duo's id, where that is none that is looked for anyway.
    """

    def __init__(self, id_field: str | None, shown_as: str | None = None) -> None:
        self._id_field = id_field
        own = (id_field, f"event.{id_field}") if id_field else ()
        # OCSF's first, which has another activity_id; behind the row's own fields those of ECS, CEF and LEEF.
        self._names = ("metadata.uid", *own, "event.id", "externalId", "eventId")
        self._shown_as = shown_as

    def of_text(self, text: bytes) -> str:
        """The key of a message."""
        text = text.strip()
        found = [at for start in _STARTS if (at := text.find(start)) >= 0]
        payload = text[min(found) :] if found else b""
        if payload[:1] == b"{":
            return self._of_json(text, payload)
        event_id = _cef_id(payload) or _leef_id(payload)
        return f"id:{event_id}" if event_id else _digest(text)

    def of_fields(self, fields: Mapping[str, Any]) -> str:
        """The key of what a search shows."""
        if self._shown_as is not None and (shown := _text_at(fields, self._shown_as)):
            return f"id:{shown}"
        of_texts = [self.of_text(text.encode("utf-8", "surrogatepass")) for text in _texts(fields)]
        by_id = next((key for key in of_texts if key.startswith("id:")), None)
        if by_id is None and (event_id := self._id_in(fields)):
            return f"id:{event_id}"
        return by_id or next(iter(of_texts), None) or _digest(_canonical(fields))

    def _of_json(self, text: bytes, payload: bytes) -> str:
        try:
            fields = _decode(payload)
        except _UNREADABLE:
            return _digest(text)
        if not isinstance(fields, dict):
            return _digest(text)
        event_id = self._id_in(fields)
        return f"id:{event_id}" if event_id else _digest(_canonical(fields))

    def _id_in(self, fields: Mapping[str, Any]) -> str:
        return next((shown for name in self._names if (shown := _text_at(fields, name))), "")


def _texts(fields: Mapping[str, Any]) -> Iterator[str]:
    return (text for name in _TEXTS if (text := _text_at(fields, name)))


def _text_at(fields: Mapping[str, Any], name: str) -> str:
    """The text or number under a name, which may be one of a member of a member; "" where there is none."""
    value = fields.get(name)
    if value is None and "." in name:
        value = fields
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _cef_id(payload: bytes) -> str:
    found = _CEF.match(payload)
    event_id = _CEF_ID.search(found[1]) if found else None
    return event_id[1].decode("utf-8", "replace") if event_id else ""


def _leef_id(payload: bytes) -> str:
    found = _LEEF.match(payload)
    if found is None:
        return ""
    named = _HEX.fullmatch(found[1])
    between = bytes([int(named[1], 16)]) if named else found[1] or b"\t"
    fields = found[2].split(between)
    return next((each[len(_LEEF_ID) :].decode("utf-8", "replace") for each in fields if each.startswith(_LEEF_ID)), "")


def _canonical(fields: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(fields, order="deterministic")
    except (TypeError, ValueError, UnicodeEncodeError, RecursionError):
        return repr(sorted(fields)).encode("utf-8", "backslashreplace")


def _digest(content: bytes) -> str:
    return f"content:{hashlib.blake2b(content, digest_size=16).hexdigest()}"
