"""Sends a clearly marked test event of each log to each destination, and waits for what becomes of it.

Place in the flow: ``check --send-test-event``.

Contract: an event has an id that begins with ``ID_PREFIX`` and is of a user called ``USER``, so that it can be found in a SIEM,
and left out of reports. It is written as the destination's format says; filters, redactions and functions of routes are not
applied, for it could be kept back by them. No checkpoint and no dead letter is written. A destination that takes nothing is
waited for ``_PATIENCE_SECS``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from pipelines import exit_codes
from pipelines.checks.findings import Finding, one_cause_once
from transforms.destinations.kinds import make_sender
from transforms.destinations.sender import Sender
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import DuoLogSyncError, Undeliverable
from transforms.formats import make_formatter
from transforms.records import DuoEvent, FormattedPage, Stream
from transforms.settings import Destination, Job

ID_PREFIX, USER = "duologsync-test-", "duologsync test"
_PATIENCE_SECS = 20.0
_CLOSE_SECS = 10.0
_OF_A_PERSON = ("user", "actor", "admin")


def send_test_events(job: Job) -> Iterator[Finding]:
    """One of each log to each destination that some route sends it to."""
    for destination in job.destinations:
        yield from one_cause_once(_send_to(destination, streams_to(job, destination)))


def streams_to(job: Job, destination: Destination) -> list[Stream]:
    """One stream of each log that goes to a destination."""
    by_log: dict[str, Stream] = {}
    for account in job.accounts:
        for log_type in job.log_types_of(account.name):
            if destination in job.destinations_of(account.name, log_type):
                by_log.setdefault(log_type, Stream(account.name, log_type, account.api_host))
    return [by_log[name] for name in sorted(by_log)]


def name_of(destination: Destination, stream: Stream) -> str:
    """What a test event is called in the table."""
    return f"test event to {destination.name}/{stream.log_type}"


def row_of(log_type: str, event_id: str, at: datetime) -> bytes:
    """An event of a log that says no more than that it is a test."""
    row: dict[str, Any] = {}
    log = LOG_TYPES[log_type]
    for path in log.row_fields:
        value = _value(path, log.id_field, event_id, at)
        if value is not None:
            *parents, name = path.split(".")
            inner = row
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[name] = value
    return msgspec.json.encode(row)


def _value(path: str, id_field: str | None, event_id: str, at: datetime) -> str | int | None:
    """What a field of a test event holds; None for nothing."""
    parent, _, name = path.rpartition(".")
    if path == (id_field or "object"):  # logs without ids name what was acted on
        return event_id
    if (name == "name" and parent in _OF_A_PERSON) or path == "username":
        return USER
    times: dict[str, str | int] = {
        "ts": at.isoformat(timespec="milliseconds"),
        "isotimestamp": at.isoformat(timespec="microseconds"),
        "timestamp": int(at.timestamp()),
        "surfaced_timestamp": int(at.timestamp() * 1000),
    }
    return times.get(path)


def _send_to(destination: Destination, streams: list[Stream]) -> Iterator[Finding]:
    patient = replace(destination, delivery_timeout_secs=_PATIENCE_SECS)
    try:
        sender = make_sender(patient)
    except DuoLogSyncError as error:
        yield Finding(False, f"test events to {destination.name}", str(error), exit_codes.DELIVERY)
        return
    try:
        for stream in streams:
            yield _send(sender, patient, stream)
    finally:
        sender.close(_CLOSE_SECS)
    if sender.unread():
        text = "the receiver was not seen to read what its system acknowledged"
        yield Finding(False, f"test events to {destination.name}", text, exit_codes.DELIVERY)


def _send(sender: Sender, destination: Destination, stream: Stream) -> Finding:
    what = name_of(destination, stream)
    event_id = f"{ID_PREFIX}{uuid.uuid4()}"
    event = DuoEvent(stream, row_of(stream.log_type, event_id, datetime.now(timezone.utc)))
    try:
        message = make_formatter(destination.format).format(event)
        sender.begin(stream)
        sender.send(FormattedPage(stream, [event.raw], [message]))
        rejected = sender.confirm().rejected
    except (DuoLogSyncError, Undeliverable) as error:
        return Finding(False, what, str(error), exit_codes.DELIVERY)
    if rejected:
        return Finding(False, what, f"rejected ({rejected[0].reason}): {rejected[0].detail}", exit_codes.DELIVERY)
    taken = "accepted" if destination.settings.promises_delivery else "sent, and more cannot be known"
    return Finding(True, what, f"{taken}: {event_id}")
