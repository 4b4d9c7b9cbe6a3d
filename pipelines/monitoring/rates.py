"""How fast one stream is delivered: events per second in each of the last minutes, and whether it moves at all.

Place in the flow: ``observe`` keeps one for each stream and destination, and gives it the totals that the checkpoint store has
in memory, once a minute whether anybody looks or not: only so is there something to see at the first look.

Contract: times are monotonic seconds. It costs four bytes a minute, for an hour. Not thread-safe.
"""

from __future__ import annotations

from array import array

MINUTES = 60
MINUTE_SECS = 60.0
_SOON_SECS = 5.0  # a shorter part of a minute says nothing yet


class Rates:
    """Of one stream, from the first total on.

    Attributes:
      moved_at: when its position last moved, as far as that was looked at; the beginning counts.
    """

    def __init__(self, delivered: int, position: int, now: float) -> None:
        self.moved_at = now
        self._per_second = array("f")
        self._position = position
        self._began_at = now  # of the present minute
        self._began_with = delivered

    def note(self, delivered: int, position: int, now: float) -> None:
        """How many events are delivered by now, and which step of its position that is."""
        if position != self._position:
            self._position, self.moved_at = position, now
        elapsed = now - self._began_at
        if elapsed < MINUTE_SECS:
            return
        self._per_second.append((delivered - self._began_with) / elapsed)
        del self._per_second[:-MINUTES]
        self._began_at, self._began_with = now, delivered

    def per_second(self, delivered: int, now: float) -> tuple[float, ...]:
        """In each of the last minutes, the newest last: the present one, as soon as it says something."""
        elapsed = now - self._began_at
        present = (max(0.0, delivered - self._began_with) / elapsed,) if elapsed >= _SOON_SECS else ()
        return tuple(round(rate, 2) for rate in (*self._per_second, *present))[-MINUTES:]

    def lately(self, delivered: int, now: float) -> float:
        """Over the present minute and the one before."""
        elapsed = now - self._began_at
        events = float(delivered - self._began_with)
        if self._per_second:
            events += self._per_second[-1] * MINUTE_SECS
            elapsed += MINUTE_SECS
        return events / elapsed if elapsed >= _SOON_SECS else 0.0
