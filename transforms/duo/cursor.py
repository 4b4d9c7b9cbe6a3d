"""The cursor: what resumes one stream, and the only thing about reading that outlives a process.

Place in the flow: the pager makes cursors, checkpoint marks carry them through the runner, the checkpoint store keeps the last
delivered one. A cursor is tiny, versioned JSON; its bytes are frozen by a test, because savepoints of old releases hold them.

A stream is read in windows ``[mintime, maxtime]``, both ends inclusive, each paged to its end with fixed times:

    between two windows   maxtime_ms is None; mintime_ms is the end of the last window
    inside a window       maxtime_ms is set; next_offset names the page to ask for, None the first

Two windows share the millisecond at their border, so that no event in it can fall between them. ``skip`` holds digests of the
rows at or after mintime_ms that the previous window delivered; ``tail`` collects the same for the next border. Both are empty
or hold a row or two, except where thousands of events share that one millisecond.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace

import msgspec

from transforms.errors import DuoLogSyncError

# Rows of one border millisecond that are remembered. Beyond it, rows of that millisecond can be delivered twice, never lost.
MAX_REMEMBERED_ROWS = 5_000

_VERSION = 1


class CursorUnreadable(DuoLogSyncError):
    """Bytes that are not a cursor, or one that a later release wrote."""


class _Wire(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=False):
    """The JSON shape, version 1. Fields are only ever added, with a default that means what their absence meant."""

    v: int
    seq: int
    min: int
    max: int | None = None
    next: str | None = None
    skip: list[str] = []
    tail: list[str] = []


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one stream. Everything before it has been handed on; nothing after it has.

    Attributes:
      mintime_ms, maxtime_ms, next_offset, skip, tail: see the module.
      seq: counts the cursor's steps since the stream began; a later position always has a higher one.
    """

    mintime_ms: int
    maxtime_ms: int | None = None
    next_offset: str | None = None
    skip: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()
    seq: int = 0

    def step(self, **changes: object) -> Cursor:
        """The next position, with these fields changed."""
        return replace(self, seq=self.seq + 1, **changes)  # type: ignore[arg-type]

    @property
    def position_ms(self) -> int:
        """A time that no later row is older than, as far as Duo's order can be trusted."""
        if self.next_offset:
            milliseconds = self.next_offset.partition(",")[0]
            if milliseconds.isdigit() and len(milliseconds) == 13:
                return max(self.mintime_ms, int(milliseconds))
        return self.mintime_ms

    def to_json(self) -> bytes:
        """Compact JSON with a fixed order of keys."""
        return msgspec.json.encode(
            _Wire(_VERSION, self.seq, self.mintime_ms, self.maxtime_ms, self.next_offset, list(self.skip), list(self.tail))
        )

    @classmethod
    def from_json(cls, encoded: bytes) -> Cursor:
        """Reads what ``to_json`` of this or an earlier release wrote. Raises CursorUnreadable."""
        try:
            wire = msgspec.json.decode(encoded, type=_Wire)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CursorUnreadable(f"Not a cursor: {error}.") from None
        if wire.v != _VERSION:
            raise CursorUnreadable(f"The cursor has version {wire.v}; this release reads version {_VERSION}.")
        if wire.min < 0 or (wire.max is not None and wire.max < wire.min):
            raise CursorUnreadable("The cursor's window ends before it begins.")
        return cls(wire.min, wire.max, wire.next, tuple(wire.skip), tuple(wire.tail), wire.seq)


def row_digest(event_id: str | None, row: bytes) -> str:
    """A short name of a row: of its id, or of its content where it has none. 72 bits: chance does not make two alike."""
    named = event_id.encode("utf-8", "surrogatepass") if event_id else row
    return urlsafe_b64encode(hashlib.blake2b(named, digest_size=9).digest()).decode("ascii")
