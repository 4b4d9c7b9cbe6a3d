"""The tally of a subscription: how many events of each day were read and confirmed, filtered, or kept as dead letters.

Place in the flow: the checkpoint store keeps it in the same record as the delivered cursor, so both are written by one rename:
what a cursor is behind is in the tally, once, whatever crashes. ``duologsync audit`` compares it with what Duo counts.

Contract: a value; ``with_bundle`` and ``with_again`` give the next one, ``counted`` and ``begun_anew`` that of one that is
encoded. Counts are of days (UTC) of the events' own time. Read means handed on and confirmed, whatever became of each: so
delivered = read - filtered - dead, where no function of the user's makes several events of one. A process that did not end in
good order sends again what may not have been read (``transforms.state.receipts``): what it then counts for the second time
lies in the stretches under ``again``. The newest ``MOST_DAYS`` days are kept; whatever is older is for Duo and the destination
to tell. Where bundles lose count on their way through a runner (all but local runs), there is no tally, rather than one that
is short.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

MOST_DAYS = 62
_MOST_STRETCHES = 20


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Events of one day, see the module."""

    read: int = 0
    filtered: int = 0
    dead: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.read + other.read, self.filtered + other.filtered, self.dead + other.dead)


NOTHING = Counts()
Days = Mapping[str, Counts]
NO_DAYS: Days = MappingProxyType({})


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """See the module.

    Attributes:
      since: counted from here on, milliseconds since the epoch: where the position was then.
      whole: that is where the destination began with the log; False where an earlier release had delivered before.
      days: by day.
      again: stretches that were sent again, and so are counted twice: from and to, milliseconds since the epoch.
    """

    since: int
    whole: bool = False
    days: dict[str, Counts] = {}
    again: tuple[tuple[int, int], ...] = ()

    def with_bundle(self, days: Days) -> Tally:
        """With what one bundle delivered."""
        summed = self.days | {day: self.days.get(day, NOTHING) + counts for day, counts in days.items()}
        kept = sorted(summed)[-MOST_DAYS:] if len(summed) > MOST_DAYS else summed
        return msgspec.structs.replace(self, days={day: summed[day] for day in kept})

    def with_again(self, from_ms: int, to_ms: int) -> Tally:
        """As another process goes on with it, which sends a stretch again."""
        return msgspec.structs.replace(self, again=(*self.again, (from_ms, to_ms))[-_MOST_STRETCHES:])

    def to_json(self) -> bytes:
        return _encode(self)


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Tally).decode


def read_tally(encoded: bytes) -> Tally | None:
    """What ``to_json`` wrote; None where it is none: evidence that cannot be read must not keep a position from being used."""
    try:
        return _decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def counted(encoded: bytes | None, days: Days | None, since_ms: int | None) -> bytes | None:
    """An encoded tally with what a bundle delivered; None for one that is not known. Args: as of ``CheckpointStore.commit``."""
    if not days:
        return None if days is None else encoded
    known = None if encoded is None else read_tally(encoded)
    if known is None and since_ms is not None:
        known = Tally(since_ms)
    return encoded if known is None else known.with_bundle(days).to_json()


def begun_anew(encoded: bytes | None, from_ms: int, to_ms: int) -> bytes | None:
    """An encoded tally, as another process goes on with it, which sends a stretch again."""
    known = None if encoded is None else read_tally(encoded)
    return encoded if known is None else known.with_again(from_ms, to_ms).to_json()
