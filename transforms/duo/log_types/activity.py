"""Duo's activity log: what administrators, the Admin API, directory syncs and users change.

Place in the flow: says how ``transforms.duo`` asks for it and what a row says to ``transforms.formats``.
Contract: see ``LogType``.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from transforms.duo.log_types import row_fields, row_values, severities
from transforms.duo.log_types.base import LogType, RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import endpoint, event_class, iso_to_ms, known_place
from transforms.errors import Undeliverable
from transforms.facts import NO_APPLICATION, NO_PARTY, Application, Device, EventFacts, Party, Place
from transforms.records import DuoEvent


class Action(msgspec.Struct, frozen=True, gc=False):
    """What was done; older rows have a text in its place."""

    name: str | None = None
    details: str | None = None


class Address(msgspec.Struct, frozen=True, gc=False):
    """The address of the device."""

    address: str | None = None


class AccessDevice(Device, frozen=True, gc=False):
    """The device that it was done from."""

    ip: Address | None = None
    location: Place | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Set for few actions, such as log-ins of administrators."""

    result: str | None = None


class ActivityRow(msgspec.Struct, frozen=True, gc=False):
    """The fields that are used of a row."""

    activity_id: str | None = None
    ts: str | None = None
    akey: str | None = None
    action: Action | None = None
    action_extended: Action | None = None
    actor: Party | None = None
    target: Party | None = None
    old_target: Party | None = None
    application: Application | None = None
    access_device: AccessDevice | None = None
    outcome: Outcome | None = None


class _Key(msgspec.Struct, frozen=True, gc=False):
    activity_id: str | None = None
    ts: str | None = None


_read_row = RowDecoder(ActivityRow)
_read_key = RowDecoder(_Key)

_NO_ACTION = Action()
_NO_ADDRESS = Address()
_NO_ACCESS_DEVICE = AccessDevice()
_NO_OUTCOME = Outcome()

# Targets that are people; all others are things and do not belong into a SIEM's user fields.
_PEOPLE = {"user", "admin"}


def row_key(raw: bytes) -> RowKey:
    """Time and activity id of a row."""
    try:
        key = _read_key(raw)
    except Undeliverable:
        return RowKey(None, None)
    return RowKey(iso_to_ms(key.ts), key.activity_id or None)


def facts(event: DuoEvent) -> EventFacts:
    """What a row says. Raises Undeliverable where it is not an object."""
    row = _read_row(event.raw)
    action = row.action or _NO_ACTION
    name = (row.action_extended or action).name or action.name
    target = row.target or NO_PARTY
    is_person = target.type in _PEOPLE
    device = row.access_device or _NO_ACCESS_DEVICE
    source = endpoint((device.ip or _NO_ADDRESS).address)
    outcome = ((row.outcome or _NO_OUTCOME).result or "").lower()
    kind, title = _kind(name)
    return EventFacts(
        event_class=kind,
        title=title,
        severity=severities.severity(
            name or "",
            failed=outcome == "failure",
            kind=target.type,
            now=severities.change(target.details),
            old_details=(row.old_target or NO_PARTY).details,
            words=action.details or "",
        ),
        category="activity",
        time_ms=iso_to_ms(row.ts),
        event_id=row.activity_id,
        action=name,
        outcome=outcome,
        message=action.details,
        tenant=event.stream.account_id or row.akey,
        actor=row.actor or NO_PARTY,
        target_user=target if is_person else NO_PARTY,
        target_thing=NO_PARTY if is_person else target,
        old_target=row.old_target or NO_PARTY,
        application=row.application or NO_APPLICATION,
        src_ip=source.ip,
        src_port=source.port,
        src_place=known_place(device.location),
        device=device,
    )


@lru_cache(maxsize=1024)  # Duo has some two hundred actions
def _kind(action: str | None) -> tuple[str, str]:
    kind = event_class("activity", action)
    words_of_action = kind.partition(".")[2].replace("_", " ").split()
    return kind, " ".join(["Duo activity", *words_of_action])


LOG_TYPE = LogType(
    name="activity",
    path="/admin/v2/logs/activity",
    rows_key="items",
    page_limit=1000,
    cursor_param="next_offset",
    sort="ts:asc",
    ascending=True,
    row_key=row_key,
    facts=facts,
    row_fields=row_fields.ACTIVITY,
    row_values=row_values.ACTIVITY,
    id_field="activity_id",
)
