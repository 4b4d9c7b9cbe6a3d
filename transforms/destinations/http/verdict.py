"""What an answer means for the events of its request: the outcomes that all receivers over HTTP have in common.

Place in the flow: a ``Dialect`` reads an answer and gives a ``Verdict``; ``sender`` does what follows from it, the same for all
receivers.

Contract: a verdict is about one request. Its texts are for a person, name status and code, and hold nothing of an event and no
secret; of what a receiver says itself, only a ``word`` is repeated.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,59}")


class Fate(enum.Enum):
    """What became of a request's events."""

    DELIVERED = "taken, but for those that are named"
    REFUSED = "one or more of them can never be taken as they are; none of them is known to be taken"
    TOO_LARGE = "too many of them for one request, or one that is too long"
    LATER = "not taken now"
    WITHOUT_LEAVE = "the credentials are not taken, or not any more"
    MISCONFIGURED = "nothing will be taken as this is configured"


NOTHING: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Verdict:
    """See the module. Places are those within the request, from 0.

    Attributes:
      cause: why, where it is not DELIVERED.
      fix: what a person can do about it.
      wait_secs: how long the receiver asked to wait.
      culprit: which event a refusal is about, where the receiver says that; it is asked again about that one alone.
      rejected: with DELIVERED: those that were not and never will be, each with its cause.
      in_part: with DELIVERED: some of those that are called rejected were taken, and the receiver does not say which.
      again: with DELIVERED: those that were not taken now.
      ack_id: with DELIVERED: taken for now only; what is known of it later is asked for by this id.
      slow_down: with DELIVERED: it is nearly too much.
      failed: with LATER, or of those in ``again``: the receiver failed over them, which one of them may be the cause of.
      reason: the word of rejected events for counters and dead letters.
    """

    fate: Fate
    cause: str = ""
    fix: str = "See the receiver's log."
    wait_secs: float | None = None
    culprit: int | None = None
    rejected: Mapping[int, str] = field(default_factory=lambda: NOTHING)
    in_part: bool = False
    again: tuple[int, ...] = ()
    ack_id: int | None = None
    slow_down: bool = False
    failed: bool = False
    reason: str = "rejected"


DELIVERED = Verdict(Fate.DELIVERED)


def word(said: object) -> str:
    """A receiver's own word for a cause, in brackets; "" where it is more than a word, which may quote an event."""
    return f" ({said})" if isinstance(said, str) and _WORD.fullmatch(said) else ""
