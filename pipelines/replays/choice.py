"""Which events a replay takes: of which logs and accounts, of which time, passing which filter.

Place in the flow: ``pipelines.commands.replay`` makes a ``Choice`` of the command line; ``letters`` and ``archives`` ask it.

Contract: an event of which a filter cannot tell is taken: a replay may repeat, and must not lose. One that does not say when it
happened is in every window of dead letters by the time at which it was given up, and in no window of an archive.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from transforms.destinations.archive.reader import Window
from transforms.duo.log_types import LOG_TYPES
from transforms.events.filters import Filter
from transforms.records import Stream
from transforms.state.dead_letters.letter import DeadLetter


@dataclass
class Choice:
    """See the module.

    Attributes:
      log_types, accounts: names; empty for all. A parent stands for its children.
      window: when the events happened.
      where: a filter in CEL.
    """

    log_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    window: Window = field(default_factory=Window)
    where: str | None = None
    _filters: dict[Stream, Filter] = field(default_factory=dict)

    @property
    def takes_all(self) -> bool:
        return not (self.log_types or self.accounts or self.window.bordered or self.where)

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is sent."""
        return (
            (not self.log_types or letter.log_type in self.log_types)
            and (not self.accounts or bool({letter.account, letter.account.partition("/")[0]}.intersection(self.accounts)))
            and (not self.window.bordered or self.window.has(happened_ms(letter)))
            and (self.where is None or self._passes(letter))
        )

    def _passes(self, letter: DeadLetter) -> bool:
        stream = letter.stream
        passing = self._filters.get(stream)
        if passing is None:
            assert self.where is not None
            passing = self._filters[stream] = Filter(self.where, stream, self.log_types or tuple(LOG_TYPES))
        return not letter.raw or passing.takes(letter.raw) is not False


def happened_ms(letter: DeadLetter) -> int | None:
    """When its event happened; else when it was given up; None where neither is known."""
    log_type = LOG_TYPES.get(letter.log_type)
    time_ms = log_type.row_key(letter.raw).time_ms if log_type is not None and letter.raw else None
    return time_ms if time_ms is not None else letter.time_ms or None
