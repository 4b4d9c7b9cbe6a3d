"""How fast one endpoint of one account may be called.

All streams of a process that share credentials and endpoint share one pace: Duo counts them together. It starts at the pause
the user asked for, doubles when Duo says 429, waits as long as Duo asks (or 60 s, growing to 240 s), and comes slowly back.
Thread-safe.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FIRST_LIMITED_WAIT_SECS = 60.0
LONGEST_LIMITED_WAIT_SECS = 240.0
_LONGEST_PAUSE_SECS = 60.0


class Pace:
    """The pause between two calls, and the time before which no call is allowed."""

    def __init__(self, least_pause_secs: float, now: Callable[[], float] = time.monotonic) -> None:
        self._least_pause_secs = least_pause_secs
        self._now = now
        self._lock = threading.Lock()
        self._pause_secs = least_pause_secs
        self._not_before = 0.0
        self._limited_in_a_row = 0

    @property
    def pause_secs(self) -> float:
        return self._pause_secs

    def reserve(self) -> float:
        """Seconds to wait before the next call; 0 means go now, and the pace is taken."""
        with self._lock:
            wait = self._not_before - self._now()
            if wait > 0:
                return wait
            self._not_before = self._now() + self._pause_secs
            return 0.0

    def succeeded(self) -> None:
        """Duo answered: a little faster again."""
        with self._lock:
            self._limited_in_a_row = 0
            # Steps of a tenth: ten minutes of good answers bring a doubled pause back, one bad one does not undo that.
            self._pause_secs = max(self._least_pause_secs, self._pause_secs * 0.9 - 0.01)

    def limited(self, retry_after_secs: float | None) -> float:
        """Duo said 429: slower, and nothing at all for the returned number of seconds."""
        with self._lock:
            grown = FIRST_LIMITED_WAIT_SECS * 2**self._limited_in_a_row
            wait = retry_after_secs if retry_after_secs is not None else min(grown, LONGEST_LIMITED_WAIT_SECS)
            wait += random.uniform(0.0, max(1.0, wait) * 0.1)  # jitter, not a secret
            self._limited_in_a_row = min(self._limited_in_a_row + 1, 8)
            self._pause_secs = min(max(self._pause_secs * 2, 1.0), max(_LONGEST_PAUSE_SECS, self._least_pause_secs))
            self._not_before = max(self._not_before, self._now() + wait)
            return wait


_paces: dict[tuple[str, str, str], Pace] = {}
_paces_lock = threading.Lock()


def pace_of(ikey: str, api_host: str, path: str, least_pause_secs: float) -> Pace:
    """The process's one pace for these credentials at this endpoint."""
    with _paces_lock:
        return _paces.setdefault((ikey, api_host, path), Pace(least_pause_secs))
