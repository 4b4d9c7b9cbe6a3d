"""A backfill gives way to live reading: whether the live stream of the same name is behind.

Place in the flow: the feed of a backfill asks before each call. It looks at the live checkpoint directory only: at whether a
running copy holds its lock, and at how far its stream is.

Contract: each time that the backfill begins to wait is logged once, and so is each time that it goes on.
"""

from __future__ import annotations

import logging
from pathlib import Path

from transforms.errors import DuoLogSyncError
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.records import Stream
from transforms.settings import Reading
from transforms.state.checkpoints.inspection import is_in_use
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

_LOGGER = logging.getLogger("duologsync.duo")
_LOOK_EVERY_SECS = 10.0
_LEEWAY_SECS = 60.0
# A live stream that got on no further for so long costs Duo nothing: Duo does not serve it, or no SIEM takes it.
_STANDS_STILL_SECS = 1800.0


class LiveStream:
    """The live reading of one stream, as seen from outside of its process."""

    def __init__(self, directory: str, stream: Stream, reading: Reading, clock: Clock = SYSTEM_CLOCK) -> None:
        self._directory = Path(directory)
        self._stream = stream
        self._clock = clock
        # A live stream that keeps up is at most this far behind now.
        self._well_secs = reading.lag_secs + 2 * reading.longest_poll_secs + _LEEWAY_SECS
        self._looked_at = float("-inf")
        self._behind = False

    def is_behind(self) -> bool:
        """Whether a running copy has still to catch up; looked up every few seconds."""
        if self._clock.monotonic_secs() - self._looked_at >= _LOOK_EVERY_SECS:
            self._looked_at = self._clock.monotonic_secs()
            behind = is_in_use(self._directory) and self._has_to_catch_up(self._clock.wall_secs())
            if behind != self._behind:
                self._behind = behind
                self._tell()
        return self._behind

    def _tell(self) -> None:
        if self._behind:
            _LOGGER.info("%s: the backfill waits, because live reading of it is behind and comes first.", self._stream)
        else:
            _LOGGER.info("%s: the backfill goes on: live reading has caught up, stands still, or has ended.", self._stream)

    def _has_to_catch_up(self, now_secs: float) -> bool:
        """Whether the live stream is behind on its way to all destinations, and gets on; it is not where nothing tells.

        The furthest counts: what waits for a SIEM that is away asks Duo for nothing.
        """
        try:
            live = [record for record in CheckpointStore(self._directory).records() if record.stream == self._stream]
            positions_ms = [Cursor.from_json(bytes(record.cursor)).position_ms for record in live]
        except (OSError, DuoLogSyncError):
            return False
        gets_on = now_secs - max((record.committed_ms for record in live), default=0) / 1000 < _STANDS_STILL_SECS
        return gets_on and max(positions_ms, default=0) / 1000 < now_secs - self._well_secs
