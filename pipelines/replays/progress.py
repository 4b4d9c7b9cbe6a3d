"""How far a replay is: a line now and then, with the rate and what is left.

Place in the flow: ``letters`` and ``archives`` tell it of each bundle.

Contract: nothing is said before ten seconds, and then every ten.
"""

from __future__ import annotations

import logging

from transforms.process.clock import SYSTEM_CLOCK, Clock

_LOGGER = logging.getLogger("duologsync.commands")
_EVERY_SECS = 10.0


class Progress:
    """Args: ``total``: how many events there are to look at."""

    def __init__(self, total: int, clock: Clock = SYSTEM_CLOCK) -> None:
        self._total = total
        self._clock = clock
        self._began_secs = self._said_secs = clock.monotonic_secs()
        self._done = 0

    def add(self, events: int) -> None:
        """So many more were looked at, and sent where they were chosen."""
        self._done += events
        now = self._clock.monotonic_secs()
        if now - self._said_secs >= _EVERY_SECS:
            self._said_secs = now
            _LOGGER.info("%s", self.line(now - self._began_secs))

    def line(self, secs: float) -> str:
        """What is said after so many seconds."""
        rate = self._done / secs if secs > 0 else 0.0
        left = max(0, self._total - self._done)
        share = 100 * self._done / self._total if self._total else 100.0
        eta = f", about {_duration(left / rate)} left" if rate and left else ""
        return f"{self._done:,} of {self._total:,} events ({min(share, 100.0):.0f}%), {rate:,.0f} a second{eta}"


def _duration(secs: float) -> str:
    minutes, rest = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
