"""What an audit asks of a destination: the keys of what it has stored.

Place in the flow: ``registry`` makes readers; each kind that can be asked has one, beside its sender or below this package.

Contract: ``keys`` yields a key (``stored.keys``) for each event that the destination shows of a stream and a stretch of time,
as often as it shows it, in any order, and holds no more of them at once than one answer. It may show more than that: other
logs' events, and those of other times; whoever asks looks only for keys that it knows. It must not show less: what cannot be
shown whole raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from transforms.errors import DuoLogSyncError
from transforms.records import Stream


class Stretch(NamedTuple):
    """From a time on, and up to before another; milliseconds since the epoch."""

    from_ms: int
    until_ms: int

    @property
    def middle_ms(self) -> int:
        return (self.from_ms + self.until_ms) // 2


class CannotBeShown(DuoLogSyncError):
    """The destination cannot show what it has, as it is asked; the text says why, and what to do."""


class StoredReader(Protocol):
    """See the module.

    Attributes:
      of_rows: what is shown are Duo's rows; else the messages that the destination was sent.
    """

    of_rows: bool

    def keys(self, stream: Stream, stretch: Stretch) -> Iterator[str]:
        """Raises CannotBeShown; RetryLater where it cannot be asked now; FatalError where only a person can mend it."""
        ...

    def close(self) -> None:
        """Nothing is asked for a while."""
        ...
