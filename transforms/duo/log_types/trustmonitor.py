"""Duo Trust Monitor: log-ins, registrations and bypasses that Duo finds suspicious. Duo ends it on 31 January 2027.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.

Contract: see ``LogType``. A row changes after it was surfaced (its state, whether it was triaged). Each change is an event of
its own, because rows are known by their content; the id that a SIEM sees stays Duo's, and ties the states together.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from transforms.duo.log_types import row_fields, row_values
from transforms.duo.log_types.auth import AuthRow, auth_facts, time_ms
from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import event_class, valid_ms
from transforms.errors import Undeliverable
from transforms.facts import EventFacts, Explanation, Finding, Party, PriorityReason, Truth, is_true
from transforms.records import DuoEvent


class TrustRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    sekey: str | None = None
    type: str | None = None
    state: str | None = None
    state_updated_timestamp: int | None = None
    surfaced_timestamp: int | None = None
    surfaced: int | None = None
    triaged_as_interesting: Truth = None
    triage_event_uri: str | None = None
    priority_event: Truth = None
    priority_reasons: list[PriorityReason] | None = None
    explanations: list[Explanation] | None = None
    from_common_netblock: Truth = None
    from_new_user: Truth = None
    low_risk_ip: Truth = None
    surfaced_auth: AuthRow | None = None
    bypass_status_enabled: int | None = None
    enabled_by: Party | None = None
    enabled_for: Party | None = None


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
    seen = auth_facts(row.surfaced_auth or _NO_AUTH, tenant=None)
    return EventFacts(
        event_class=event_class("trustmonitor", row.type),
        title=_TITLES.get(row.type or "", "Duo Trust Monitor event"),
        severity=max(8 if is_true(row.priority_event) else 5, seen.severity),
        category="trustmonitor",
        time_ms=_time_ms(row),
        event_id=row.sekey,
        action=row.type,
        url=row.triage_event_uri,
        tenant=event.stream.account_id,
        # A whole person or none: the name of one must not stand beside the key of another.
        actor=row.enabled_by or seen.actor,
        target_user=row.enabled_for or seen.target_user,
        application=seen.application,
        src_ip=seen.src_ip,
        src_port=seen.src_port,
        src_place=seen.src_place,
        device=seen.device,
        auth_ip=seen.auth_ip,
        auth_port=seen.auth_port,
        auth_place=seen.auth_place,
        auth_device=seen.auth_device,
        log_in=seen.log_in,
        finding=_finding(row),
    )


def _finding(row: TrustRow) -> Finding:
    auth = row.surfaced_auth or _NO_AUTH
    return Finding(
        state=row.state,
        state_updated_ms=valid_ms(row.state_updated_timestamp),
        priority_event=row.priority_event,
        priority_reasons=row.priority_reasons,
        explanations=row.explanations,
        triaged_as_interesting=row.triaged_as_interesting,
        from_common_netblock=row.from_common_netblock,
        from_new_user=row.from_new_user,
        low_risk_ip=row.low_risk_ip,
        bypass_enabled_ms=valid_ms(row.bypass_status_enabled),
        log_in_id=auth.txid,
        log_in_ms=time_ms(auth),
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
    row_fields=row_fields.TRUST_MONITOR,
    row_values=row_values.TRUST_MONITOR,
    id_field="sekey",
)
