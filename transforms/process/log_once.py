"""Says what lasts once, and not each time that it is seen: the one rule for what would else fill the log.

Place in the flow: whoever meets a trouble again and again (a destination that is away, a directory that cannot be written, a
limit that is reached) asks here before it writes a line, and writes it in its own words at its own level.

Contract: thread-safe, and nothing is written here.
  * ``due`` says when a line is due: when it begins; when the cause is another one; and, with ``remind_secs``, again after that
    time while it lasts. With ``remind_secs`` the same cause is never due twice within that time, not even where it was over in
    between: what comes and goes does not fill the log either.
  * ``more`` says how often a line was not due since the one before, for the line that is due now: what was left out is counted.
  * ``over`` says that it is no more, and whether that is worth a line: only where its beginning was.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

from transforms.process.clock import SYSTEM_CLOCK, Clock

_Key = TypeVar("_Key", bound=Hashable)

REMIND_SECS = 60.0
"""How often the log is reminded of what lasts and what somebody should look at."""


class LogOnce:
    """One thing that may be so for a while.

    Args:
      remind_secs: after how long it is said again; None says it once for as long as it lasts.
    """

    def __init__(self, remind_secs: float | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._remind_secs = remind_secs
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler that logs may come in between
        self._since_secs: float | None = None  # None while it is not so
        self._said_at_secs = float("-inf")
        self._said = False
        self._cause: str | None = None
        self._left_out = 0  # since the last line
        self._more = 0  # as the last line found it

    def due(self, cause: str = "") -> float | None:
        """It is so. For how many seconds, where a line is due; else None."""
        now = self._clock.monotonic_secs()
        with self._lock:
            if self._since_secs is None:
                self._since_secs = now
            if cause == self._cause and not self._to_remind(now):
                self._left_out += 1
                return None
            self._said_at_secs, self._said, self._cause = now, True, cause
            self._more, self._left_out = self._left_out, 0
            return now - self._since_secs

    def more(self) -> str:
        """For the end of a line that is due: how many were left out before it; empty where none was."""
        return f" ({self._more} more since the last such line)" if self._more else ""

    def over(self) -> float | None:
        """It is no more so. For how many seconds it was, where that was said; else None."""
        if self._since_secs is None:  # nearly always; a look without the lock is enough
            return None
        now = self._clock.monotonic_secs()
        with self._lock:
            since, self._since_secs = self._since_secs, None
            said, self._said = self._said, False
            if self._remind_secs is None:
                self._cause = None
        return now - since if said and since is not None else None

    def _to_remind(self, now: float) -> bool:
        return self._remind_secs is not None and now - self._said_at_secs >= self._remind_secs


class LogOncePerKey(Generic[_Key]):
    """One ``LogOnce`` for each key.

    Args:
      most: of how many keys is remembered what was said. Of further ones nothing is said.
    """

    def __init__(self, most: int | None = None, remind_secs: float | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._most = most
        self._remind_secs = remind_secs
        self._clock = clock
        self._lock = threading.Lock()
        self._of: dict[_Key, LogOnce] = {}

    def due(self, key: _Key, cause: str = "") -> float | None:
        """As ``LogOnce.due``."""
        with self._lock:
            if key not in self._of and len(self._of) == self._most:
                return None
            one = self._of.setdefault(key, LogOnce(self._remind_secs, self._clock))
        return one.due(cause)

    def more(self, key: _Key) -> str:
        """As ``LogOnce.more``."""
        one = self._of.get(key)
        return one.more() if one is not None else ""

    def over(self, key: _Key) -> float | None:
        """As ``LogOnce.over``."""
        one = self._of.get(key)
        return one.over() if one is not None else None
