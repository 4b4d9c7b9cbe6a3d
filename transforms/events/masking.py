"""An event as it can be shown to somebody who need not know whose it is: what is personal in it is masked.

Place in the flow: commands that show events ask here. What a SIEM is sent is ``redaction``'s word.

Contract: whatever the bytes are, a text comes back. Of a row, the names of its fields, numbers, truth values, times, ids of
events and the words that Duo has for kinds, results and reasons stay; every other text is masked, also in fields that are newer
than this release. Of what is no row, only its size is told.
"""

from __future__ import annotations

from typing import Any

import msgspec

MASK = "***"
_KEPT_FIELDS = frozenset(
    [
        "access_device_type",
        "action",
        "activity_id",
        "alias_type",
        "application_type",
        "credits",
        "device_type",
        "event_type",
        "eventtype",
        "factor",
        "factor_type",
        "from_common_netblock",
        "isotimestamp",
        "log_type",
        "phone_type",
        "platform",
        "priority",
        "priority_event",
        "priority_reasons",
        "reason",
        "result",
        "sekey",
        "surfaced_timestamp",
        "telephony_id",
        "timestamp",
        "triage_event_uri_type",
        "triaged_as_interesting",
        "ts",
        "txid",
        "type",
    ]
)
_KEPT_AT_THE_TOP = _KEPT_FIELDS | {"state"}  # of an event; below, it is where somebody is
_DEEPEST = 50

# Made while importing: see transforms.state.cursor on msgspec and threads.
_decode = msgspec.json.Decoder().decode


def masked(raw: bytes) -> str:
    """The row with what is personal masked."""
    try:
        row = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"({len(raw)} bytes that are no JSON)"
    if not isinstance(row, dict):
        return f"({len(raw)} bytes that are no JSON object)"
    return msgspec.json.encode(_masked(row, kept=False, depth=0)).decode("utf-8", "backslashreplace")


def _masked(value: Any, *, kept: bool, depth: int) -> Any:
    if depth > _DEEPEST:
        return MASK
    if isinstance(value, dict):
        # A name of a field that has never been one of Duo's may be personal itself, such as the keys of a mapping by user.
        known = _KEPT_FIELDS if depth else _KEPT_AT_THE_TOP
        return {_name(name): _masked(each, kept=name in known, depth=depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, kept=kept, depth=depth + 1) for each in value]
    return value if kept or not isinstance(value, str) or not value else MASK


def _name(name: object) -> str:
    text = str(name)
    return text if text.replace("_", "").isalnum() and text.isascii() and len(text) <= 40 else MASK
