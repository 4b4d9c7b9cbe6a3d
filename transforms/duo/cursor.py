"""The cursor: what resumes one stream, and the only thing about reading that outlives a process.

Place in the flow: the pager makes cursors, checkpoint marks carry them through the runner, the checkpoint store keeps the last
delivered one. A cursor is versioned JSON, tiny for a quiet stream; its bytes are frozen by a test, because savepoints of old
releases hold them.

A stream is read in windows ``[mintime, maxtime]``, both ends inclusive, each paged to its end with fixed times:

    between two windows   maxtime_ms is None; end_ms is the end of the last window
    inside a window       maxtime_ms is set; next_offset names the page to ask for, None the first

Windows overlap (``transforms.duo.windows`` says by how much), so that rows which Duo publishes late, and rows that share the
millisecond of a border, are read. ``seen`` holds short digests of the rows that an overlap can meet again, grouped by minute;
everything from ``seen_from_ms`` on is in it. It travels with the cursor, so it survives whatever the cursor survives.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from transforms.errors import DuoLogSyncError

SECOND_MS = 1000
MINUTE_MS = 60_000
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
    end: int | None = None
    deep: bool = False
    stuck: int = 0
    swept: int = 0
    rows: int = 0
    total: int | None = None
    since: int | None = None
    seen: dict[str, list[str]] = {}


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_wire = msgspec.json.Decoder(_Wire).decode

Seen = Mapping[int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in one stream. Everything before it has been handed on; nothing after it has.

    Attributes:
      mintime_ms, maxtime_ms, next_offset: the window, and the page in it; see the module.
      end_ms: end of the last window that was read to its end; None before the first.
      deep: the present window reaches back behind end_ms, to find rows that were published late.
      stuck: pages in a row that held nothing new and stayed in one millisecond.
      swept_ms: end of the last window that was deep.
      window_rows: rows read of the present window. window_total: how many Duo said it has, None where it does not say.
      seen_from_ms, seen: digests by minute of all rows from seen_from_ms on that were handed on; see the module.
      seq: counts the cursor's steps since the stream began; a later position always has a higher one.
    """

    mintime_ms: int
    maxtime_ms: int | None = None
    next_offset: str | None = None
    end_ms: int | None = None
    deep: bool = False
    stuck: int = 0
    swept_ms: int = 0
    window_rows: int = 0
    window_total: int | None = None
    seen_from_ms: int | None = None
    seen: Seen = field(default_factory=dict)
    seq: int = 0

    def step(self, **changes: object) -> Cursor:
        """The next position, with these fields changed."""
        return replace(self, seq=self.seq + 1, **changes)  # type: ignore[arg-type]

    @property
    def position_ms(self) -> int:
        """A time that rows behind this position are not older than, but for those that Duo publishes late."""
        reached_ms = self.mintime_ms
        if self.next_offset:
            milliseconds = self.next_offset.partition(",")[0]
            if milliseconds.isdigit() and len(milliseconds) == 13:
                reached_ms = int(milliseconds)
        return max(reached_ms, self.mintime_ms, self.end_ms or 0)

    @property
    def is_beginning(self) -> bool:
        """Nothing was ever read up to here: where the look-back begins is all that it says."""
        return self.end_ms is None and self.maxtime_ms is None and self.next_offset is None

    def to_json(self) -> bytes:
        """Compact JSON with a fixed order of keys and digests."""
        seen = {str(minute): sorted(self.seen[minute]) for minute in sorted(self.seen)}
        return msgspec.json.encode(
            _Wire(
                v=_VERSION,
                seq=self.seq,
                min=self.mintime_ms,
                max=self.maxtime_ms,
                next=self.next_offset,
                end=self.end_ms,
                deep=self.deep,
                stuck=self.stuck,
                swept=self.swept_ms,
                rows=self.window_rows,
                total=self.window_total,
                since=self.seen_from_ms,
                seen=seen,
            )
        )

    @classmethod
    def from_json(cls, encoded: bytes) -> Cursor:
        """Reads what ``to_json`` of this or an earlier release wrote. Raises CursorUnreadable."""
        try:
            wire = _decode_wire(encoded)
            seen = {int(minute): frozenset(digests) for minute, digests in wire.seen.items()}
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise CursorUnreadable(f"Not a cursor: {error}.") from None
        if wire.v != _VERSION:
            raise CursorUnreadable(f"The cursor has version {wire.v}; this release reads version {_VERSION}.")
        if wire.min < 0 or (wire.max is not None and wire.max < wire.min):
            raise CursorUnreadable("The cursor's window ends before it begins.")
        return cls(
            mintime_ms=wire.min,
            maxtime_ms=wire.max,
            next_offset=wire.next,
            end_ms=wire.end,
            deep=wire.deep,
            stuck=wire.stuck,
            swept_ms=wire.swept,
            window_rows=wire.rows,
            window_total=wire.total,
            seen_from_ms=wire.since,
            seen=seen,
            seq=wire.seq,
        )


def row_digest(name: bytes) -> str:
    """A short name of a row, from its id or its content. 72 bits: chance does not make two alike."""
    return urlsafe_b64encode(hashlib.blake2b(name, digest_size=9).digest()).decode("ascii")


def count_seen(seen: Seen, from_ms: int = 0) -> int:
    """How many rows are remembered, from a time on."""
    first_minute = from_ms // MINUTE_MS
    return sum(len(digests) for minute, digests in seen.items() if minute >= first_minute)


def with_seen(seen: Seen, more: Iterable[tuple[int, str]]) -> Seen:
    """``seen`` and these ``(minute, digest)``; unchanged minutes are shared, not copied."""
    fresh: dict[int, set[str]] = {}
    for minute, digest in more:
        fresh.setdefault(minute, set()).add(digest)
    return {**seen, **{minute: seen.get(minute, frozenset()) | digests for minute, digests in fresh.items()}} if fresh else seen


def without_old(seen: Seen, from_ms: int, most_rows: int) -> tuple[Seen, int]:
    """``seen`` from a time on and with at most so many rows, the newest; and from when on it is whole."""
    kept: dict[int, frozenset[str]] = {}
    rows = 0
    for minute in sorted(seen, reverse=True):
        rows += len(seen[minute])
        if 0 <= minute < from_ms // MINUTE_MS:
            continue
        if rows > most_rows:
            return kept, max(from_ms, (minute + 1) * MINUTE_MS)
        kept[minute] = seen[minute]
    return kept, from_ms
