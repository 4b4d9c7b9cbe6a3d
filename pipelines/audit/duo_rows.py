"""What Duo serves of a stretch of time now, read by the same rules as everything else.

Place in the flow: the auditor asks for each stream and day, and for the stretches that are to be sent again.

Contract: the feed of a backfill does the reading, so all that is true of it is true here: signed calls, the learnt rate of the
endpoint, what passes is tried again, and live reading comes first. Nothing is left out as a repeat but rows that Duo gives
twice in one reading. A gap (Duo counts more than it gives) is not waited for: it is told. Two pages are in memory at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from transforms.destinations.stored.reader import Stretch
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.windows import first_cursor
from transforms.errors import DuoLogSyncError
from transforms.settings import Account, Reading

_LOOK_SECS = 0.5


class DuoRefuses(DuoLogSyncError):
    """Duo does not serve the log now: the edition, a permission."""


class DuoRows:
    """One stretch of one stream.

    Args:
      live_checkpoint_dir: of the live reading that comes first.

    Attributes:
      withheld: how many more rows Duo has counted than it gave; known at the end.
    """

    def __init__(self, account: Account, log_type: str, reading: Reading, stretch: Stretch, live_checkpoint_dir: str) -> None:
        self.withheld = 0
        self._log_type = LOG_TYPES[log_type]
        self._stretch = stretch
        # Duo's windows have both their ends.
        self._reading = replace(
            reading,
            from_ms=stretch.from_ms,
            until_ms=max(stretch.from_ms + 1, stretch.until_ms - 1),
            overlap_secs=0.0,
            live_checkpoint_dir=live_checkpoint_dir,
        )
        self._feed = PageFeed(account, log_type, self._reading)

    def pages(self) -> Iterator[list[tuple[bytes, int | None]]]:
        """Rows with their times, page by page. Raises DuoRefuses and FatalError."""
        feed = self._feed
        try:
            feed.seek(first_cursor(int(time.time() * 1000), self._reading))
            while not self._at_the_end():
                if feed.wait_ready(_LOOK_SECS) and (fetched := feed.take(0.0)) is not None:
                    yield list(self._within(fetched.page.rows))
                    feed.delivered(fetched.after)
                elif (refused := feed.refused) is not None:
                    raise DuoRefuses(str(refused))
        finally:
            feed.close()
            feed.forget()

    def _at_the_end(self) -> bool:
        settled = self._feed.settled_cursor
        until_ms = self._reading.until_ms or 0
        if settled is None or max(settled.end_ms or 0, settled.mintime_ms) < until_ms:
            return False
        self.withheld = sum(gap.missing for gap in settled.gaps)
        return True

    def _within(self, rows: list[bytes]) -> Iterator[tuple[bytes, int | None]]:
        """Those that happened in the stretch: logs that know whole seconds only give more."""
        for row in rows:
            time_ms = self._log_type.row_key(row).time_ms
            if time_ms is None or self._stretch.from_ms <= time_ms < self._stretch.until_ms:
                yield row, time_ms
