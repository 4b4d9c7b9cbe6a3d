"""Duo's telephony log: text messages and phone calls, and the credits that they cost.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.
Contract: see ``LogType``.
"""

from __future__ import annotations

import msgspec

from transforms.duo.log_types import row_fields, row_values
from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import event_class, iso_to_ms
from transforms.errors import Undeliverable
from transforms.facts import EventFacts, Telephony
from transforms.records import DuoEvent


class TelephonyRow(Telephony, frozen=True, gc=False):
    """The fields that are used of a row."""

    telephony_id: str | None = None
    ts: str | None = None


class _Key(msgspec.Struct, frozen=True, gc=False):
    telephony_id: str | None = None
    txid: str | None = None
    ts: str | None = None


_read_row = RowDecoder(TelephonyRow)
_read_key = RowDecoder(_Key)

_TITLES = {"sms": "Duo text message sent", "phone": "Duo phone call made"}
_SEVERITY = 2


def row_key(raw: bytes) -> RowKey:
    """Time and id of a row. One ``telephony_id`` was seen with several ``txid``, so both make up the id."""
    try:
        key = _read_key(raw)
    except Undeliverable:
        return RowKey(None, None)
    return RowKey(iso_to_ms(key.ts), f"{key.telephony_id}:{key.txid or ''}" if key.telephony_id else None)


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    return EventFacts(
        event_class=event_class("telephony", row.type),
        title=_TITLES.get(row.type or "", "Duo telephony event"),
        severity=_SEVERITY,
        category="telephony",
        time_ms=iso_to_ms(row.ts),
        event_id=row.telephony_id,
        action=row.type,
        tenant=event.stream.account_id,
        telephony=row,
    )


LOG_TYPE = LogType(
    name="telephony",
    path="/admin/v2/logs/telephony",
    rows_key="items",
    page_limit=1000,
    cursor_param="next_offset",
    sort="ts:asc",
    ascending=True,
    row_key=row_key,
    facts=facts,
    row_fields=row_fields.TELEPHONY,
    row_values=row_values.TELEPHONY,
    id_field="telephony_id",
)
