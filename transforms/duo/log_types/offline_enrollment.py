"""Duo's old log of enrolments for offline access (API v1). The activity log has the same events, named ``o2fa_…``.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.

Contract: see ``LogType`` and ``api_v1``. It is read only where a route names it: others have announced that Duo ends it on 30
September 2026, and nobody says what it answers since.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from transforms.duo.log_types import api_v1, row_fields, row_values
from transforms.duo.log_types.base import LogType
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import event_class
from transforms.facts import Application, Device, EventFacts, LogIn, Party
from transforms.records import DuoEvent


class OfflineRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    timestamp: int | None = None
    isotimestamp: str | None = None
    username: str | None = None
    action: str | None = None
    object: str | None = None
    description: str | None = None


class Description(Device, frozen=True, gc=False):
    """What the description, JSON in a text, says of the device."""

    factor: str | None = None


_read_row = RowDecoder(OfflineRow)
_read_description = RowDecoder(Description)

_NO_DESCRIPTION = Description()

_TITLES = {
    "o2fa_user_provisioned": "Duo offline access enrolled",
    "o2fa_user_deprovisioned": "Duo offline access removed",
    "o2fa_user_reenrolled": "Duo offline access enrolled again",
}
_SEVERITY = 3


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    details = api_v1.details(_read_description, row.description)
    device = details or _NO_DESCRIPTION
    return EventFacts(
        event_class=event_class("offline", row.action),
        title=_TITLES.get(row.action or "", "Duo offline access event"),
        severity=_SEVERITY,
        category="offline_enrollment",
        time_ms=api_v1.time_ms(row.timestamp, row.isotimestamp),
        event_id=api_v1.content_id(event.raw),
        action=row.action,
        message=row.description if details is None else None,
        tenant=event.stream.account_id,
        actor=Party(name=row.username),
        target_thing=Party(name=row.object, details=None if details is None else row.description),
        application=Application(name=row.object),
        device=device,
        log_in=LogIn(factor=device.factor),
    )


LOG_TYPE = LogType(
    name="offline_enrollment",
    path="/admin/v1/logs/offline_enrollment",
    rows_key="",
    page_limit=1000,
    cursor_param="",
    sort=None,
    ascending=True,
    row_key=api_v1.row_key,
    facts=facts,
    ends_on=dt.date(2026, 9, 30),
    pages_by_time=True,
    opt_in=True,
    also_in="activity",
    row_fields=row_fields.API_V1,
    row_values=row_values.OFFLINE_ENROLLMENT,
)
