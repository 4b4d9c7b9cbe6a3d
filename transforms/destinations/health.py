"""What the log says about a destination that goes away and comes back; shared by all senders of that destination.

Place in the flow: told by the senders; read by the log, the rule below, and whoever shows how a destination is.

Contract: thread-safe. One WARNING when a destination goes away, one per minute while it stays away, one INFO when it is back.
Texts name the destination, its address and the cause, never an event. ``ever_delivered`` decides whether a wrong certificate is
a mistake in the configuration (nothing was ever delivered) or a change at the SIEM that may heal (the program goes on trying).
"""

from __future__ import annotations

import logging
import time

from transforms.notices import destinations
from transforms.notices.notice import Notice, tell
from transforms.process.lifetime import OnePerKey, per_process
from transforms.process.log_once import REMIND_SECS, LogOnce
from transforms.process.plural import counted
from transforms.settings import Destination

_LOGGER = logging.getLogger("duologsync.destinations")
_ASK_AGAIN_SECS = 86_400.0


class Health:
    """The state of one destination in this process.

    Attributes:
      cause: why it cannot be used now; empty where nothing is known against it. since_ms: since when, by the wall clock.
    """

    def __init__(self, destination: Destination) -> None:
        self.ever_delivered = False
        self.cause = ""
        self.since_ms: int | None = None
        self.goodbyes_refused = 0  # in a row
        self._refused_at = 0.0
        self._name = destination.name
        self._title = f"Destination {destination.name} ({destination.place})"
        self._trouble = LogOnce(REMIND_SECS)
        self._wrong = ""

    def away(self, cause: str) -> None:
        """It cannot be reached, or the connection was lost."""
        self._gone(destinations.AWAY, "away", cause, " Its events wait here and are sent when it is back.")

    def wrong(self, cause: str) -> None:
        """It answers, but not as configured, although it once did: a certificate was changed, say. The cause names it."""
        self._wrong = cause  # what a person must know of is not held back for a minute
        self._since(cause)
        for_secs = self._trouble.due(cause)
        if for_secs is not None:
            then = "It took events before; they wait until that is put right" if for_secs < 1 else f"So for {for_secs:.0f} s"
            self._tell(destinations.NOT_AS_CONFIGURED, "%s. %s.", cause, then)

    def stalled(self, cause: str) -> None:
        """It is connected and answers, but takes nothing."""
        self._gone(destinations.STALLED, "stalled", cause, " Its events wait here.")

    def goodbye_answered(self) -> None:
        """It ended a connection in good order."""
        self.goodbyes_refused = 0

    def goodbye_refused(self) -> None:
        """It answered the end of a connection by a reset, or not at all."""
        self.goodbyes_refused += 1
        self._refused_at = time.monotonic()

    def answers_goodbyes(self, most_refused: int) -> bool:
        """Whether a goodbye is worth saying: too many in a row were refused, but a day later it may be another receiver."""
        return self.goodbyes_refused < most_refused or time.monotonic() - self._refused_at >= _ASK_AGAIN_SECS

    def unanswered(self, secs: float) -> None:
        """It has not ended a connection that was said goodbye to for so long: it may not be reading."""
        self._tell(
            destinations.MAY_NOT_READ,
            "%s has not ended a connection %.0f s after it was told that nothing more comes: it may not be reading. What it "
            "was sent is kept, and sent again if it loses it.",
            self._title,
            secs,
        )

    def never_answered(self, messages: int) -> None:
        """It did not end a connection that was ended here, and is not waited for any more."""
        self._tell(
            destinations.NEVER_ENDED,
            "%s never ended a connection on which %s had been acknowledged. Whether it read that cannot be known: it is kept "
            "as dead letters.",
            self._title,
            counted(messages, "message"),
        )

    def given_up(self, messages: int) -> None:
        """Messages that it may not have read were sent twice, and are not sent a third time."""
        self._tell(
            destinations.RESET_TWICE,
            "%s reset its connection twice, long after %s had been acknowledged. Whether it read that cannot be known: it is "
            "kept as dead letters.",
            self._title,
            counted(messages, "message"),
        )

    def _gone(self, notice: Notice, how: str, cause: str, then: str) -> None:
        self._since(cause)
        for_secs = self._trouble.due(self._wrong)
        if for_secs is not None:
            first = for_secs < 1
            state = how if first else f"still {how} after {for_secs:.0f} s"
            self._tell(notice, "%s is %s: %s.%s", self._title, state, cause, then if first else "")

    def _since(self, cause: str) -> None:
        if not self.cause:
            self.since_ms = time.time_ns() // 1_000_000
        self.cause = cause

    def _tell(self, notice: Notice, text: str, *args: object) -> None:
        tell(_LOGGER, notice, text, *args, destination=self._name)

    def back(self, resent: int) -> None:
        """It is connected again, and so many messages are sent once more."""
        if self.cause:
            self.cause, self.since_ms = "", None
        gone_secs = self._trouble.over()
        if gone_secs is not None:
            _LOGGER.info("%s is back after %.1f s; sent again: %s.", self._title, gone_secs, counted(resent, "message"))


_HEALTH: OnePerKey[tuple[str, str], Health] = per_process("health of destinations", OnePerKey)


def health_of(destination: Destination) -> Health:
    """The one Health of a destination."""
    return _HEALTH.of((destination.name, destination.place), lambda: Health(destination))
