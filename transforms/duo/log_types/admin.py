"""Duo's old log of what administrators do (API v1). Its successor is the activity log, which has the same events.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.

Contract: see ``LogType`` and ``api_v1``. It is read only where a route names it: others have announced that Duo ends it on 30
September 2026, and nobody says what it answers since. Its actions are partly named otherwise than the activity log's.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import NamedTuple

import msgspec

from transforms.duo.log_types import api_v1, row_fields, row_values, severities
from transforms.duo.log_types.base import LogType
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import event_class, ip_address
from transforms.facts import NO_PARTY, EventFacts, LogIn, Party
from transforms.records import DuoEvent


class AdminRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    timestamp: int | None = None
    isotimestamp: str | None = None
    username: str | None = None
    action: str | None = None
    object: str | None = None
    description: str | None = None


class Description(severities.Change, frozen=True, gc=False):
    """What a description can hold, where it is JSON in a text and not words."""

    ip_address: str | None = None
    email: str | None = None
    error: str | None = None
    factor: str | None = None


class _Kind(NamedTuple):
    event_class: str
    title: str
    outcome: str | None


_read_row = RowDecoder(AdminRow)
_read_description = RowDecoder(Description)

_NO_DESCRIPTION = Description()

# Actions whose object is a person; all others are done to things, which do not belong into a SIEM's user fields.
_TO_PEOPLE = ("user_", "admin_")


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    details = api_v1.details(_read_description, row.description)
    told = details or _NO_DESCRIPTION
    is_person = (row.action or "").startswith(_TO_PEOPLE)
    target = Party(name=row.object, details=None if details is None else row.description)
    kind = _kind(row.action)
    return EventFacts(
        event_class=kind.event_class,
        title=kind.title,
        severity=severities.severity(row.action or "", failed=kind.outcome == "failure", now=told, words=row.description or ""),
        category="admin",
        time_ms=api_v1.time_ms(row.timestamp, row.isotimestamp),
        event_id=api_v1.content_id(event.raw),
        action=row.action,
        outcome=kind.outcome,
        reason=told.error,
        message=row.description if details is None else None,
        tenant=event.stream.account_id,
        actor=Party(name=row.username),
        target_user=target if is_person else NO_PARTY,
        target_thing=NO_PARTY if is_person else target,
        src_ip=ip_address(told.ip_address),
        log_in=LogIn(factor=told.factor, email=told.email),
    )


@lru_cache(maxsize=1024)  # as in the activity log
def _kind(action: str | None) -> _Kind:
    name = event_class("admin", action)
    # The log has no field for it.
    failed = (action or "").endswith(severities.FAILED_ENDINGS)
    outcome = ("failure" if failed else "success") if action else None
    return _Kind(name, " ".join(["Duo administrator action", *name.partition(".")[2].split("_")]), outcome)


LOG_TYPE = LogType(
    name="admin",
    path="/admin/v1/logs/administrator",
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
    row_values=row_values.ADMIN,
)
