"""Which dead letters are meant: by destination, log, account, reason, and when they were given up.

Place in the flow: ``pipelines.commands.dead_letters`` makes one of the command line; ``overview`` and ``dropping`` ask it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LetterChoice:
    """Names are empty for all; a parent stands for its children. Moments are milliseconds since the epoch, None for no border.

    Attributes:
      since_ms: given up then or later. before_ms: given up earlier.
    """

    destinations: tuple[str, ...] = ()
    log_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    since_ms: int | None = None
    before_ms: int | None = None

    @property
    def takes_all(self) -> bool:
        names = self.destinations or self.log_types or self.accounts or self.reasons
        return not names and self.since_ms is None and self.before_ms is None

    def takes(self, *, destination: str, log_type: str, account: str, reason: str, time_ms: int) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.destinations or destination in self.destinations)
            and (not self.log_types or log_type in self.log_types)
            and (not self.accounts or bool({account, account.partition("/")[0]}.intersection(self.accounts)))
            and (not self.reasons or reason in self.reasons)
            and (self.since_ms is None or time_ms >= self.since_ms)
            and (self.before_ms is None or time_ms < self.before_ms)
        )
