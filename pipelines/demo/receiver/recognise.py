"""Tells which log a message is of and which event it holds, by looking for a few bytes and without decoding it.

Place in the flow: the tally calls ``recognise`` for every message.
Contract: never raises; what it does not know is ``other`` without an id. Known are Duo's rows as JSON, bare or in our envelope,
and what our other formats make of them; each with or without a syslog header in front. Rows without an id of Duo's are known by
a digest of their bytes, the same that CEF has as ``externalId``. A log that is not known here is recognised by its envelope or
by what the format calls it, and its rows by that digest.
"""

from __future__ import annotations

import hashlib
import re

OTHER = "other"

# In this order: telephony rows hold a txid as well, and Trust Monitor rows may hold a whole log-in with its txid.
_ROW_IDS = (
    (b'"sekey":"', "trustmonitor"),
    (b'"telephony_id":"', "telephony"),
    (b'"activity_id":"', "activity"),
    (b'"txid":"', "auth"),
)
# The old logs' rows have no id; what tells them from others is that somebody did something.
_OFFLINE_ACTION = b'"action":"o2fa_'
_OLD_FIELDS = (b'"username":', b'"action":', b'"timestamp":')
_DIGEST_CHARS = 40
_ENVELOPE = b'{"log_type":"'
_ENVELOPED_ROW = b',"event":'
_CATEGORIES = {b"authentication": "auth"}
_OPEN_BRACE = ord("{")
_STRUCTURED = re.compile(rb"(?:\A|[ \]>])(?:CEF|LEEF):\d")
_CATEGORY = re.compile(rb"[| ]cat=([^ ]+)")
_EXTERNAL_ID = re.compile(rb"[| ]externalId=([^ ]+)")
_LEEF = re.compile(rb"(?:\A|[ \]>])LEEF:\d")
_LEEF_LOG = re.compile(rb"[|\t^]log=([^\t^]+)")
_LEEF_ID = re.compile(rb"[|\t^]eventId=([^\t^]+)")
# How a message begins, what names its log, and what stands before its id. No text of a row looks so: its quotes are escaped.
_BY_BEGINNING = (
    (b'{"@timestamp":', re.compile(rb'"dataset":"cisco_duo\.(\w+)"'), b'"event":{"id":"'),  # ECS
    (b'{"class_uid":', re.compile(rb'"log_name":"(\w+)"'), b'"original_event_uid":"'),  # OCSF
)
_ELASTICS_NAMES = {b"telephony_v2": "telephony", b"trust_monitor": "trustmonitor"}
# Escaped pipes do not end a field.
_CEF_CLASS = re.compile(rb"CEF:\d\|(?:[^|\\]|\\.)*\|(?:[^|\\]|\\.)*\|(?:[^|\\]|\\.)*\|((?:[^|\\]|\\.)*)\|")
_HEADER = re.compile(
    rb"(?:<\d{1,3}>1 \S+ \S+ \S+ \S+ \S+ (?:-|\[.*?(?<!\\)\]) "  # RFC 5424
    rb"|(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ (?:[\w./-]+(?:\[\d+\])?: )?)"  # RFC 3164, Duo Log Sync
)


def payload(message: bytes) -> bytes:
    """The message behind its syslog header; the whole message where it has none."""
    match = _HEADER.match(message)
    return message[match.end() :] if match else message


def recognise(message: bytes) -> tuple[str, bytes | None]:
    """The log type and the event id of a message."""
    begin = 0
    if message[:1] != b"{":
        begin = message.find(_OPEN_BRACE)
        if _STRUCTURED.search(message, 0, len(message) if begin < 0 else begin):
            return _leef(message) if _LEEF.search(message) else _structured(message)
        if begin < 0:
            return OTHER, None
    for beginning, log, marker in _BY_BEGINNING:
        if message.startswith(beginning, begin):
            return _mapped(message, log, marker)
    for marker, log_type in _ROW_IDS:
        at = message.find(marker, begin)
        if at >= 0:
            at += len(marker)
            return _enveloped(message, begin) or log_type, message[at : message.find(b'"', at)]
    return _without_id(message, begin)


def _without_id(message: bytes, begin: int) -> tuple[str, bytes | None]:
    log_type = _enveloped(message, begin)
    if log_type is not None:
        at = message.find(_ENVELOPED_ROW, begin)
        return log_type, _digest(message[at + len(_ENVELOPED_ROW) : -1]) if at >= 0 else None
    if not all(field in message for field in _OLD_FIELDS):
        return OTHER, None
    return "offline_enrollment" if _OFFLINE_ACTION in message else "admin", _digest(message[begin:])


def _digest(row: bytes) -> bytes:
    return hashlib.sha256(row).hexdigest()[:_DIGEST_CHARS].encode()


def _enveloped(message: bytes, begin: int) -> str | None:
    if not message.startswith(_ENVELOPE, begin):
        return None
    at = begin + len(_ENVELOPE)
    return message[at : message.find(b'"', at)].decode("utf-8", "replace")


def _mapped(message: bytes, log: re.Pattern[bytes], marker: bytes) -> tuple[str, bytes | None]:
    name, at = log.search(message), message.find(marker)
    if name is None:
        return OTHER, None
    event_id = message[at + len(marker) : message.find(b'"', at + len(marker))] if at >= 0 else None
    return _ELASTICS_NAMES.get(name[1]) or name[1].decode("utf-8", "replace"), event_id


def _leef(message: bytes) -> tuple[str, bytes | None]:
    log, event_id = _LEEF_LOG.search(message), _LEEF_ID.search(message)
    return _by_category(log[1]) if log else OTHER, event_id[1] if event_id else None


def _structured(message: bytes) -> tuple[str, bytes | None]:
    category, external_id = _CATEGORY.search(message), _EXTERNAL_ID.search(message)
    log_type = _by_category(category[1]) if category else _by_class(message)
    return log_type, external_id[1] if external_id else None


def _by_category(category: bytes) -> str:
    return _CATEGORIES.get(category) or category.decode("utf-8", "replace")


def _by_class(message: bytes) -> str:
    """The profile that writes CEF as Duo Log Sync did has no ``cat``: the class id tells, and of activity it is the action."""
    match = _CEF_CLASS.search(message)
    if match is None:
        return OTHER
    return {b"authentication": "auth", b"telephony": "telephony"}.get(match[1], "activity")
