"""Doing what must be done before anything else may go on: it is tried until it works, and the log says what it waits for.

Place in the flow: dead letters are written through it. A destination that is away holds its streams and repeats nothing; so
does a directory that cannot be written, instead of failing a bundle that would be sent again and again.

Contract: ``until_done`` returns once the attempt did. It raises ``Stopping`` when the grace period of a shutdown is over, and
``DeliveryTimeout`` after ``timeout_secs``. One ERROR when the trouble begins and one a minute, for all who share an
``Insistence``; one INFO when it is over. Nothing that is held is written to the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from transforms.errors import DeliveryTimeout, RetryLater
from transforms.notices.notice import Notice, tell
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.log_once import REMIND_SECS, LogOnce
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.shutdown import STOP

_LOGGER = logging.getLogger("duologsync.process")
_RETRY = RetryPolicy(first_secs=0.2, longest_secs=5.0)


class Insistence:
    """What is known of one trouble. Thread-safe; many may wait at the same time.

    Attributes:
      failed: attempts that failed since the start of the process.
      cause: why it cannot be done now; empty where nothing is known against it.
    """

    def __init__(self, what: str, notice: Notice, clock: Clock = SYSTEM_CLOCK) -> None:
        self.failed = 0
        self._notice = notice
        self.cause = ""
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._trouble = LogOnce(REMIND_SECS, clock)

    def until_done(self, attempt: Callable[[], None], timeout_secs: float | None = None) -> None:
        """Repeats the attempt, with pauses by the retry policy, for as long as it raises RetryLater. See the module."""
        try:
            attempt()
        except RetryLater as error:
            self._hold(attempt, timeout_secs, error)
        self.cause = ""
        lasted_secs = self._trouble.over()
        if lasted_secs is not None:
            _LOGGER.info("%s again, after %.1f s.", self._what, lasted_secs)

    def _hold(self, attempt: Callable[[], None], timeout_secs: float | None, error: RetryLater) -> None:
        began, backoff = self._clock.monotonic_secs(), Backoff(_RETRY)
        while True:
            self._tell(error)
            waited_secs = self._clock.monotonic_secs() - began
            if timeout_secs is not None and waited_secs >= timeout_secs:
                raise DeliveryTimeout(f"{error} It was tried for {waited_secs:.0f} s.") from error
            pause_secs = backoff.failed(error.wait_secs)
            STOP.sleep_in_grace(pause_secs if timeout_secs is None else min(pause_secs, timeout_secs - waited_secs))
            try:
                attempt()
            except RetryLater as again:
                error = again
            else:
                return

    def _tell(self, error: RetryLater) -> None:
        with self._lock:
            self.failed += 1
            self.cause = str(error)
        for_secs = self._trouble.due()
        if for_secs is not None:
            tell(_LOGGER, self._notice, "%s%s", error, f" It has been so for {for_secs:.0f} s." if for_secs else "")
