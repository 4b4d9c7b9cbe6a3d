"""What of a bundle goes into one request, and how it is taken apart.

Place in the flow: ``sender`` makes parts and settles them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from transforms.records import Stream


class Entry(NamedTuple):
    """An event that is not settled yet. ``place``: its index in a ``Rejection``."""

    place: int
    piece: bytes


class Part(NamedTuple):
    """What goes into one request."""

    stream: Stream
    entries: tuple[Entry, ...]
    doubtful: bool = False  # a request with these may have been taken
    unanswered: int = 0  # requests with these in a row that were sent, in part at least
    put_off_at: int | None = None  # of one event that gets no answer: how many requests were answered before it was put off
    known: bool = False  # it was taken already, and is sent again to see whether the receiver takes anything

    def only(self, places: Sequence[int]) -> Part:
        return self._replace(entries=tuple(self.entries[place] for place in places))

    @property
    def size_bytes(self) -> int:
        return sum(len(entry.piece) for entry in self.entries)

    def one_beside(self, places: Collection[int]) -> Part:
        """An event that is none of these; it may be sent again."""
        entry = next(entry for place, entry in enumerate(self.entries) if place not in places)
        return Part(self.stream, (entry,), doubtful=True, known=True)

    def halves(self) -> list[Part]:
        middle = len(self.entries) // 2
        return [self._replace(entries=entries, unanswered=0) for entries in (self.entries[:middle], self.entries[middle:])]

    def around(self, place: int) -> list[Part]:
        """What is before an event, the event, and what is behind it."""
        # A receiver may have taken what it read before it came to the event.
        parts = [self._replace(entries=self.entries[:place], doubtful=True)]
        parts += [self._replace(entries=entries) for entries in (self.entries[place : place + 1], self.entries[place + 1 :])]
        return [part for part in parts if part.entries]
