"""What time it is at Duo, told from its answers: windows end so and so far behind Duo's now, not behind this machine's.

Place in the flow: one per stream. Its feeds note the clock difference that the client measured, and ask for the present before
each call; a feed that lives from answers that others have fetched has measured nothing itself. A machine that is minutes ahead
would close windows that Duo still fills, one that is behind would read late.

Contract: the machine's time until Duo has answered, and while the two differ by no more than a few seconds (the Date of an
answer has whole seconds, and is as old as the answer took). Else the middle one of the last few answers counts, carried on by
the monotonic clock, so that one odd answer or a jump of the machine's clock changes nothing. Two things are not believed: a
difference that Duo would not have accepted a signed request with, unless it refused one for that; and, once the machine's time
has run ahead of the monotonic clock (it was suspended, or its clock was set), all that was noted before. What is older than a
quarter of an hour is forgotten, too: the machine's time counts until the next answer. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import deque
from statistics import median_low

from transforms.process.clock import SYSTEM_CLOCK, Clock

_ANSWERS = 5
# Less is not told from the time that an answer takes.
LEEWAY_SECS = 5.0
# Duo refuses requests whose time is off by five minutes, so a larger difference is not Duo's: a proxy has made it up.
_MOST_SECS = 600.0
_BELIEVED_SECS = 900.0


class DuoClock:
    """See the module."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ahead_secs = 0.0  # of the machine's time to the monotonic clock, when Duo last answered
        self._noted_at = 0.0  # monotonic
        self._refused = False  # the last that Duo said was that it does not take this machine's time
        self._offsets: deque[float] = deque(maxlen=_ANSWERS)  # of Duo's time to the monotonic clock

    def note(self, skew_secs: float | None, *, refused: bool = False) -> None:
        """An answer came whose Date was so far behind the machine's time; ``refused``: Duo did not take the request's time."""
        with self._lock:
            self._forget_if_ahead()
            if skew_secs is None or (abs(skew_secs) > _MOST_SECS and not refused):
                return
            if refused != self._refused:
                self._offsets.clear()  # the machine's time, or Duo's, is another one since
            self._refused = refused
            self._ahead_secs = self._clock.wall_secs() - self._clock.monotonic_secs()
            self._noted_at = self._clock.monotonic_secs()
            self._offsets.append(self._ahead_secs - skew_secs)

    def now_ms(self) -> int:
        """The present at Duo, milliseconds since the epoch."""
        with self._lock:
            self._forget_if_ahead()
            wall_secs = self._clock.wall_secs()
            if self._offsets:
                duo_secs = self._clock.monotonic_secs() + median_low(self._offsets)
                if abs(duo_secs - wall_secs) > LEEWAY_SECS:
                    return int(duo_secs * 1000)
            return int(wall_secs * 1000)

    def _forget_if_ahead(self) -> None:
        monotonic_secs = self._clock.monotonic_secs()
        ran_ahead = self._clock.wall_secs() - monotonic_secs > self._ahead_secs + LEEWAY_SECS
        # A wrong one may be why nothing is asked for any more, and then no answer would ever correct it.
        if ran_ahead or monotonic_secs - self._noted_at > _BELIEVED_SECS:
            self._offsets.clear()
