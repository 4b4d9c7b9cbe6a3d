"""The cursor: what resumes one subscription, and the only thing about reading that outlives a process.

Place in the flow: the pager makes cursors, checkpoint marks carry them through the runner, the checkpoint store keeps the last
delivered one. A cursor is versioned JSON, tiny for a quiet stream; its bytes are frozen by a test, because savepoints of old
releases hold them.

A stream is read in windows ``[mintime, maxtime]``, both ends inclusive, each paged to its end with fixed times:

    between two windows   maxtime_ms is None; end_ms is the end of the last window
    inside a window       maxtime_ms is set; next_offset names the page to ask for, None the first

Windows overlap (``transforms.duo.position.windows`` says by how much), so that rows which Duo publishes late, and rows that
share the millisecond of a border, are read. ``seen`` holds short digests of the rows that an overlap can meet again
(``seen``); everything from ``seen_from_ms`` on is in it. It travels with the cursor, so it survives whatever the cursor
survives. So do the stretches in which Duo counted more rows than it gave (``gaps``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from transforms.errors import DuoLogSyncError
from transforms.state.seen import Seen, from_wire, to_wire

SECOND_MS = 1000
_VERSION = 1


class CursorUnreadable(DuoLogSyncError):
    """Bytes that are not a cursor, or one that a later release wrote."""


class CursorTooNew(CursorUnreadable):
    """What a later release wrote: it is whole, and only that release knows what it means."""


class _Versioned(msgspec.Struct):
    v: int = 0


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch in which Duo counted more rows than it gave; it is read again now and then (``transforms.duo.position.gaps``).

    Attributes:
      from_ms, to_ms: from the last row that was read to the end of the window, both ends in it.
      missing: rows that were counted and not read.
      tries: how often it was read again. due_ms: when the next time is; None where it was given up.
      next: the page cursor to go on with, while it is read again. reached_ms, found: the last row and the rows of that.
      known: digests of rows at its beginning that were handed on, packed; see ``transforms.state.seen``.
    """

    from_ms: int
    to_ms: int
    missing: int
    tries: int = 0
    due_ms: int | None = None
    next: str | None = None
    reached_ms: int = 0
    found: int = 0
    known: bytes = b""


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
    seen: dict[str, bytes | list[str]] = {}  # lists: of releases before the first; what they name is read again
    begin: int | None = None
    at: int = 0
    doubts: int = 0
    border: dict[str, int] = {}
    gaps: tuple[Gap, ...] = ()


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_wire = msgspec.json.Decoder(_Wire).decode


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
      begin_ms: where the present window began, however far reading by time has come in it.
      reached_ms: the time of the last row that was read of the present window; only of logs with an order.
      doubts: how often in a row Duo was asked again, because the window ended before all that it counted was read.
      border: how many rows without an id that are alike were read where the page cursor goes on, by their digests.
      seen_from_ms, seen: digests by minute of all rows from seen_from_ms on that were handed on; see the module.
      gaps: stretches in which rows are missing, the oldest first.
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
    begin_ms: int | None = None
    reached_ms: int = 0
    doubts: int = 0
    border: Mapping[str, int] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
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
            if milliseconds.isdecimal() and len(milliseconds) == 13:
                reached_ms = int(milliseconds)
        return max(reached_ms, self.mintime_ms, self.end_ms or 0)

    @property
    def is_beginning(self) -> bool:
        """Nothing was ever read up to here: where the look-back begins is all that it says."""
        return self.end_ms is None and self.maxtime_ms is None and self.next_offset is None

    def to_json(self) -> bytes:
        """Compact JSON with a fixed order of keys and digests."""
        seen: dict[str, bytes | list[str]] = {str(minute): to_wire(self.seen[minute]) for minute in sorted(self.seen)}
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
                begin=self.begin_ms,
                at=self.reached_ms,
                doubts=self.doubts,
                border=dict(sorted(self.border.items())),
                gaps=self.gaps,
            )
        )

    @classmethod
    def from_json(cls, encoded: bytes) -> Cursor:
        """Reads what ``to_json`` of this or an earlier release wrote. Raises CursorUnreadable."""
        try:
            wire = _decode_wire(encoded)
            groups = {int(minute): group for minute, group in wire.seen.items()}
            seen = {minute: from_wire(group) for minute, group in groups.items() if isinstance(group, bytes)}
            for gap in wire.gaps:
                from_wire(gap.known)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            refuse_later_version("cursor", version_of(encoded), _VERSION)
            raise CursorUnreadable(f"Not a cursor: {error}.") from None
        refuse_later_version("cursor", wire.v, _VERSION)
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
            begin_ms=wire.begin,
            reached_ms=wire.at,
            doubts=wire.doubts,
            border=wire.border,
            gaps=wire.gaps,
            seq=wire.seq,
        )


_decode_versioned = msgspec.json.Decoder(_Versioned).decode


def version_of(encoded: bytes) -> int:
    """The version that a JSON object names, whatever else is in it; 0 where it names none."""
    try:
        return _decode_versioned(encoded).v
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def refuse_later_version(what: str, version: int, ours: int) -> None:
    """Raises CursorTooNew where a later release wrote it."""
    if version > ours:
        raise CursorTooNew(f"The {what} has version {version}, which a later release wrote; this release reads version {ours}.")
