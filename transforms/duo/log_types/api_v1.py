"""What the logs of API v1 share: times in whole seconds, rows without an id, descriptions that are JSON in a text.

Place in the flow: used by the log types ``admin`` and ``offline_enrollment``.

Contract: ``row_key`` names no id, so reading tells rows apart by content and number, and two that are alike in one second stay
two events. What a SIEM is given instead of an id is ``content_id``: a row that is sent again has the same one. So have two
events of one second that are alike in everything; nothing in Duo's answer tells them apart.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from transforms.duo.log_types.base import RowKey
from transforms.duo.log_types.decoding import RowDecoder
from transforms.duo.log_types.values import iso_to_ms, valid_ms
from transforms.errors import Undeliverable

T = TypeVar("T", bound=msgspec.Struct)

_ID_CHARS = 40  # as many as CEF's externalId holds


class Moment(msgspec.Struct, frozen=True, gc=False):
    """When a row happened."""

    timestamp: int | None = None
    isotimestamp: str | None = None


_read_moment = RowDecoder(Moment)


def row_key(raw: bytes) -> RowKey:
    """The time of a row, and no id."""
    try:
        moment = _read_moment(raw)
    except Undeliverable:
        return RowKey(None, None)
    return RowKey(time_ms(moment.timestamp, moment.isotimestamp), None)


def time_ms(timestamp: int | None, isotimestamp: str | None) -> int | None:
    """``timestamp`` first: it is what Duo compares ``mintime`` with; ``isotimestamp`` is not in every row."""
    ms = valid_ms(timestamp * 1000) if timestamp is not None else None
    return iso_to_ms(isotimestamp) if ms is None else ms


def content_id(raw: bytes) -> str:
    """What stands for the id of a row: 40 hex digits of the SHA-256 of its bytes as Duo sent them."""
    return hashlib.sha256(raw).hexdigest()[:_ID_CHARS]


def details(read: RowDecoder[T], description: str | None) -> T | None:
    """What a description holds, where it is JSON; None where it is words or nothing."""
    try:
        return read((description or "").encode())
    except Undeliverable:
        return None
