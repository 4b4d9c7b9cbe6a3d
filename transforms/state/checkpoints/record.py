"""What one checkpoint file says, as a value and as bytes.

Place in the flow: below ``checkpoints``, which knows files, and ``remote_state``, which knows objects.

Contract: a record is one JSON object that ends with a checksum of what is before it: a time in which one bit is wrong looks
like any other, and would skip or repeat months. Whatever is not exactly what was written raises ``CursorUnreadable``.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from transforms.records import Stream, Subscription
from transforms.state.cursor import Cursor, CursorUnreadable, refuse_later_version, version_of
from transforms.state.ledger.tally import Tally, read_tally

_VERSION = 1
_NULL = msgspec.Raw(b"null")


class Begun(msgspec.Struct, frozen=True):
    """How the beginning of a position was chosen of which nothing was read yet: so many days before a moment.

    Attributes:
      days: as the configuration said then.
      at_ms: when it was chosen, milliseconds since the epoch.
    """

    days: float
    at_ms: int


class Record(msgspec.Struct, frozen=True):
    """What one checkpoint file says.

    Attributes:
      v: version of the record.
      stream, destination: whose cursor it is; a file that names others is foreign.
      cursor: the last delivered position, as ``Cursor.to_json`` wrote it.
      committed_ms: when, milliseconds since the epoch.
      delivered: events delivered since the first checkpoint.
      safe: the position that is safe, likewise; ``null`` where that is the delivered one.
      begun: how it was chosen where to begin, for as long as nothing was read.
      tally: how many events of each day are delivered, as ``Tally.to_json`` wrote it.
    """

    v: int
    stream: Stream
    destination: str
    cursor: msgspec.Raw
    committed_ms: int
    delivered: int = 0
    safe: msgspec.Raw = _NULL
    begun: Begun | msgspec.UnsetType = msgspec.UNSET
    tally: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def subscription(self) -> Subscription:
        """Whose record it is."""
        return Subscription(self.stream, self.destination)

    @property
    def tallied(self) -> Tally | None:
        """How many events of each day are delivered; None where that is not known."""
        return None if isinstance(self.tally, msgspec.UnsetType) else read_tally(bytes(self.tally))


class Positions(NamedTuple):
    """What the store knows of a subscription: what is delivered, how many events that were, and what of it is safe; how its
    beginning was chosen, where that is all there is; and how many of which day were delivered: a ``Tally``, encoded, because
    thousands of them are held and few are ever looked at.
    """

    cursor: Cursor
    delivered: int
    safe: Cursor
    begun: Begun | None = None
    tally: bytes | None = None


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_record = msgspec.json.Decoder(Record).decode
_encode_record = msgspec.json.Encoder().encode


def record_of(subscription: Subscription, positions: Positions, committed_ms: int) -> Record:
    """The record of a subscription that is so far."""
    cursor = msgspec.Raw(positions.cursor.to_json())
    all_safe = positions.safe.seq >= positions.cursor.seq
    safe = _NULL if all_safe else msgspec.Raw(positions.safe.to_json())
    begun = positions.begun if positions.begun is not None and positions.cursor.is_beginning else msgspec.UNSET
    tally = msgspec.UNSET if positions.tally is None else msgspec.Raw(positions.tally)
    return Record(
        _VERSION, subscription.stream, subscription.destination, cursor, committed_ms, positions.delivered, safe, begun, tally
    )


def encode_record(record: Record) -> bytes:
    """The record as a file holds it: one JSON object, whose last member is a checksum of the bytes before it."""
    body = _encode_record(record)[:-1]
    return b'%b,"sum":"%b"}' % (body, _checksum(body))


def decode_record(content: bytes) -> Record:
    """The record that a file holds. Raises CursorUnreadable, and of it CursorTooNew where a later release wrote it.

    The checksum comes first, so a bit that is wrong in the version is not taken for a later release; it stays as it is in all
    releases.
    """
    if not content.strip():
        raise CursorUnreadable("The file is empty.")
    body, found, checksum = content.rstrip().rpartition(b',"sum":"')
    if not found or checksum != _checksum(body) + b'"}':
        raise CursorUnreadable("Not a checkpoint record as this program wrote it: its checksum is missing or wrong.")
    refuse_later_version("record", version_of(content), _VERSION)
    try:
        record = _decode_record(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CursorUnreadable(f"Not a checkpoint record: {error}.") from None
    if record.v != _VERSION:
        raise CursorUnreadable(f"The record has version {record.v}; this release reads version {_VERSION}.")
    return record


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).hexdigest().encode("ascii")


def readable_record(content: bytes) -> Record:
    """The same, and its cursors can be read, too: whoever looks at all records need not expect one that it cannot use."""
    record = decode_record(content)
    _positions(record)
    return record


def read_positions(content: bytes, subscription: Subscription) -> Positions:
    """What a subscription's record says. Raises CursorUnreadable."""
    record = decode_record(content)
    if record.subscription.identity != subscription.identity:
        raise CursorUnreadable(
            f"The record belongs to {record.subscription} at {record.stream.api_host}, not to {subscription} at "
            f"{subscription.stream.api_host}."
        )
    return _positions(record)


def _positions(record: Record) -> Positions:
    cursor = Cursor.from_json(bytes(record.cursor))
    safe = bytes(record.safe)
    begun = None if isinstance(record.begun, msgspec.UnsetType) else record.begun
    tally = None if isinstance(record.tally, msgspec.UnsetType) else bytes(record.tally)
    return Positions(cursor, record.delivered, cursor if safe == b"null" else Cursor.from_json(safe), begun, tally)
