"""Duo Trust Monitor: log-ins, registrations and bypasses that Duo finds suspicious. Duo ends it on 31 January 2027.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.

Contract: see ``LogType``. A row changes after it was surfaced (its state, whether it was triaged). Each change is an event of
its own, because rows are known by their content; the id that a SIEM sees stays Duo's, and ties the states together.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from transforms.duo.log_types.auth import AuthRow, auth_facts
from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import event_class, listed, valid_ms
from transforms.errors import Undeliverable
from transforms.records import DuoEvent, EventFacts


class Explanation(msgspec.Struct, frozen=True, gc=False):
    """Why Duo finds it suspicious."""

    summary: str | None = None


class PriorityReason(msgspec.Struct, frozen=True, gc=False):
    """Why it matters more than others."""

    label: str | None = None


class Person(msgspec.Struct, frozen=True, gc=False):
    """A user or an administrator."""

    key: str | None = None
    name: str | None = None


class TrustRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    sekey: str | None = None
    type: str | None = None
    state: str | None = None
    state_updated_timestamp: int | None = None
    surfaced_timestamp: int | None = None
    surfaced: int | None = None
    triaged_as_interesting: bool | None = None
    triage_event_uri: str | None = None
    priority_event: bool | None = None
    priority_reasons: list[PriorityReason] | None = None
    explanations: list[Explanation] | None = None
    surfaced_auth: AuthRow | None = None
    bypass_status_enabled: int | None = None
    enabled_by: Person | None = None
    enabled_for: Person | None = None


class _Key(msgspec.Struct, frozen=True, gc=False):
    sekey: str | None = None
    state: str | None = None
    state_updated_timestamp: int | None = None
    surfaced_timestamp: int | None = None
    surfaced: int | None = None


_read_row = RowDecoder(TrustRow)
_read_key = RowDecoder(_Key)

_NO_AUTH = AuthRow()

_TITLES = {
    "auth": "Duo Trust Monitor suspicious authentication",
    "bypass_status": "Duo Trust Monitor bypass status enabled",
    "device_registration": "Duo Trust Monitor suspicious device registration",
}
_TRUTH_TEXTS = {True: "true", False: "false", None: None}


def row_key(raw: bytes) -> RowKey:
    """Time and id of a row in its present state."""
    try:
        key = _read_key(raw)
    except Undeliverable:
        return RowKey(None, None)
    state = f"{key.sekey}:{key.state or ''}:{valid_ms(key.state_updated_timestamp) or ''}"
    return RowKey(_time_ms(key), state if key.sekey else None)


def _time_ms(row: TrustRow | _Key) -> int | None:
    return valid_ms(row.surfaced if row.surfaced_timestamp is None else row.surfaced_timestamp)


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    auth = row.surfaced_auth or _NO_AUTH
    seen = auth_facts(auth, tenant=None)
    # A whole person or none: the name of one must not stand beside the key of another.
    actor = row.enabled_by or Person(seen.actor_id, seen.actor_name)
    target = row.enabled_for or Person(seen.target_id, seen.target_name)
    return EventFacts(
        event_class=event_class("trustmonitor", row.type),
        title=_TITLES.get(row.type or "", "Duo Trust Monitor event"),
        severity=8 if row.priority_event else 5,
        category="trustmonitor",
        time_ms=_time_ms(row),
        event_id=row.sekey,
        action=row.type,
        actor_name=actor.name,
        actor_id=actor.key,
        target_name=target.name,
        target_id=target.key,
        src_ip=seen.src_ip,
        src_host=seen.src_host,
        service=seen.service,
        user_agent=seen.user_agent,
        message=listed((e.summary or "" for e in row.explanations), "; ") if row.explanations else None,
        url=row.triage_event_uri,
        tenant=event.stream.account_id,
        texts=(
            ("state", row.state),
            ("priorityReasons", listed((r.label or "" for r in row.priority_reasons), "; ") if row.priority_reasons else None),
            ("triagedAsInteresting", _TRUTH_TEXTS[row.triaged_as_interesting]),
            ("authTxid", auth.txid),
        ),
        times_ms=(
            ("stateUpdated", valid_ms(row.state_updated_timestamp)),
            ("bypassEnabled", valid_ms(row.bypass_status_enabled)),
        ),
    )


LOG_TYPE = LogType(
    name="trustmonitor",
    path="/admin/v1/trust_monitor/events",
    rows_key="events",
    page_limit=200,
    cursor_param="offset",
    sort=None,
    ascending=False,
    row_key=row_key,
    facts=facts,
    ends_on=dt.date(2027, 1, 31),
)
