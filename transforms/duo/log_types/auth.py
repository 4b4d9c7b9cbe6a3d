"""Duo's authentication log: log-ins to protected applications, and enrolments.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.
Contract: see ``LogType``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from transforms.duo.log_types import row_fields, row_values
from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import endpoint, event_class, iso_to_ms, known_place, valid_ms
from transforms.errors import Undeliverable
from transforms.facts import NO_APPLICATION, NO_PARTY, Application, AuthDevice, Device, EventFacts, LogIn, Party, Place
from transforms.records import DuoEvent


class AccessDevice(Device, frozen=True, gc=False):
    """The device that is logged in from."""

    ip: str | None = None
    location: Place | None = None


class SecondDevice(AuthDevice, frozen=True, gc=False):
    """The device of the second factor."""

    ip: str | None = None
    location: Place | None = None


class AuthRow(LogIn, frozen=True, gc=False):
    """The fields that are used of a row. Of a failed log-in the user's name is whatever was typed."""

    txid: str | None = None
    isotimestamp: str | None = None
    timestamp: int | None = None
    user: Party | None = None
    application: Application | None = None
    auth_device: SecondDevice | None = None
    access_device: AccessDevice | None = None


class _Key(msgspec.Struct, frozen=True, gc=False):
    txid: str | None = None
    isotimestamp: str | None = None
    timestamp: int | None = None


class _Kind(NamedTuple):
    event_class: str
    title: str
    severity: int
    outcome: str | None


_read_row = RowDecoder(AuthRow)
_read_key = RowDecoder(_Key)

_NO_SECOND_DEVICE = SecondDevice()
_NO_ACCESS_DEVICE = AccessDevice()

_TITLES = {
    ("authentication", "success"): "Duo authentication succeeded",
    ("authentication", "denied"): "Duo authentication denied",
    ("authentication", "fraud"): "Duo authentication reported as fraud",
    ("enrollment", "success"): "Duo enrollment succeeded",
    ("enrollment", "denied"): "Duo enrollment denied",
}
_BYPASS_REASONS = {"bypass_user", "allow_unenrolled_user", "allow_unenrolled_user_on_trusted_network"}
_SUSPICIOUS_REASONS = {"anonymous_ip", "anomalous_push", "locked_out", "location_restricted"}


def row_key(raw: bytes) -> RowKey:
    """Time and transaction id of a row."""
    try:
        key = _read_key(raw)
    except Undeliverable:
        return RowKey(None, None)
    return RowKey(time_ms(key), key.txid or None)


def time_ms(row: AuthRow | _Key) -> int | None:
    """When a log-in was, milliseconds since the epoch."""
    # ``timestamp`` has whole seconds only, so it is the second choice.
    ms = iso_to_ms(row.isotimestamp)
    if ms is None and row.timestamp is not None:
        return valid_ms(row.timestamp * 1000)
    return ms


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    return auth_facts(row, tenant=event.stream.account_id)


def auth_facts(row: AuthRow, tenant: str | None) -> EventFacts:
    """What an authentication says."""
    user = row.user or NO_PARTY
    device = row.access_device or _NO_ACCESS_DEVICE
    second = row.auth_device or _NO_SECOND_DEVICE
    source, answered_from = endpoint(device.ip), endpoint(second.ip)
    kind = _kind(row.event_type, row.result, row.reason, row.factor)
    return EventFacts(
        event_class=kind.event_class,
        title=kind.title,
        severity=kind.severity,
        category="authentication",
        time_ms=time_ms(row),
        event_id=row.txid,
        action=row.event_type,
        outcome=kind.outcome,
        reason=row.reason,
        tenant=tenant,
        # Who logs in is both: the one who acts, and the account that is acted on. SIEM rules look in either place.
        actor=user,
        target_user=user,
        application=row.application or NO_APPLICATION,
        src_ip=source.ip,
        src_port=source.port,
        src_place=known_place(device.location),
        device=device,
        auth_ip=answered_from.ip,
        auth_port=answered_from.port,
        auth_place=known_place(second.location),
        auth_device=second,
        log_in=row,
    )


@lru_cache(maxsize=1024)  # a few dozen combinations make up a whole log
def _kind(event_type: str | None, result: str | None, reason: str | None, factor: str | None) -> _Kind:
    result = (result or "").lower()
    return _Kind(
        event_class=event_class("auth", event_type, result),
        title=_TITLES.get((event_type or "", result), "Duo authentication event"),
        severity=_severity(result, reason or "", factor or ""),
        outcome=("success" if result == "success" else "failure") if result else None,
    )


def _severity(result: str, reason: str, factor: str) -> int:
    if result == "fraud" or reason == "user_marked_fraud":
        return 9
    if result in {"success", ""}:
        return 5 if factor == "bypass_code" or reason in _BYPASS_REASONS else 3
    return 6 if reason in _SUSPICIOUS_REASONS else 5


LOG_TYPE = LogType(
    name="auth",
    path="/admin/v2/logs/authentication",
    rows_key="authlogs",
    page_limit=1000,
    cursor_param="next_offset",
    sort="ts:asc",
    ascending=True,
    row_key=row_key,
    facts=facts,
    row_fields=row_fields.AUTH,
    row_values=row_values.AUTH,
    id_field="txid",
)
