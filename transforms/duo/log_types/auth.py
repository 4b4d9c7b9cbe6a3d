"""Duo's authentication log: log-ins to protected applications, and enrolments.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.
Contract: see ``LogType``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec

from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import Place, event_class, ip_address, iso_to_ms, listed, place_text, valid_ms, words
from transforms.errors import Undeliverable
from transforms.records import DuoEvent, EventFacts


class User(msgspec.Struct, frozen=True, gc=False):
    """Who logs in; of a failed log-in the name is whatever was typed."""

    key: str | None = None
    name: str | None = None
    groups: list[str] | None = None


class Application(msgspec.Struct, frozen=True, gc=False):
    """What is logged in to."""

    key: str | None = None
    name: str | None = None


class AuthDevice(msgspec.Struct, frozen=True, gc=False):
    """The second factor's device; its name is a phone number or the label of a token."""

    name: str | None = None


class AccessDevice(msgspec.Struct, frozen=True, gc=False):
    """The device that is logged in from."""

    ip: str | None = None
    hostname: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    location: Place | None = None


class AuthRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    txid: str | None = None
    isotimestamp: str | None = None
    timestamp: int | None = None
    event_type: str | None = None
    result: str | None = None
    reason: str | None = None
    factor: str | None = None
    email: str | None = None
    user: User | None = None
    application: Application | None = None
    auth_device: AuthDevice | None = None
    access_device: AccessDevice | None = None
    trusted_endpoint_status: str | None = None


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

_NO_USER = User()
_NO_APPLICATION = Application()
_NO_AUTH_DEVICE = AuthDevice()
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
    return RowKey(_time_ms(key), key.txid or None)


def _time_ms(row: AuthRow | _Key) -> int | None:
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
    user = row.user or _NO_USER
    application = row.application or _NO_APPLICATION
    device = row.access_device or _NO_ACCESS_DEVICE
    kind = _kind(row.event_type, row.result, row.reason, row.factor)
    return EventFacts(
        event_class=kind.event_class,
        title=kind.title,
        severity=kind.severity,
        category="authentication",
        time_ms=_time_ms(row),
        event_id=row.txid,
        action=row.event_type,
        outcome=kind.outcome,
        reason=row.reason,
        # Who logs in is both: the one who acts, and the account that is acted on. SIEM rules look in either place.
        actor_name=user.name,
        actor_id=user.key,
        target_name=user.name,
        target_id=user.key,
        src_ip=ip_address(device.ip),
        src_host=device.hostname,
        service=application.name,
        user_agent=words(device.browser, device.browser_version),
        tenant=tenant,
        texts=(
            ("factor", row.factor),
            ("authDevice", (row.auth_device or _NO_AUTH_DEVICE).name),
            ("applicationKey", application.key),
            ("accessLocation", place_text(device.location)),
            ("trustedEndpointStatus", row.trusted_endpoint_status),
            ("duoResult", row.result),
            ("groups", listed(user.groups)),
            ("email", row.email),
        ),
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
)
