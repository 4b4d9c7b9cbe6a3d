"""The delivery contract: what the sink, and whoever else sends, may ask of a destination of any kind.

Place in the flow: format → **destination**. A kind implements ``Sender`` and knows nothing of formats. Senders are kept across
bundles by ``transforms.destinations.pool``; each is used by one thread at a time, for the bundles of any stream one after
another.

Contract: there are four outcomes, and no others.
  * delivered: ``confirm()`` has returned, and the message is not among its rejections. What that means is the kind's word.
  * rejected: it can never be delivered as it is. ``confirm()`` says so message by message, never an exception: a rejection
    neither blocks nor fails its bundle. The sink makes a dead letter of that event before the bundle ends.
  * retry later: the sender tries again by itself, inside send() and confirm(), for as long as the destination's delivery
    timeout allows. Then it raises ``DeliveryTimeout``: the bundle fails and is read again. So it is with ``BundleReplaced``,
    where another bundle of the stream has begun.
  * stop: ``BadDestination`` (only a person can mend it), or ``Stopping`` (the grace period of a shutdown is over).

While they wait, senders ask ``transforms.process.shutdown.STOP``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from transforms.records import FormattedPage, Stream
from transforms.state.receipts import Receipt


@dataclass(frozen=True, slots=True)
class Rejection:
    """One message that can never be delivered as it is.

    Attributes:
      index: which one: its place among all messages that send() took since begin(), from 0.
      reason: a short stable word for counters and the dead letter (``oversize``, ``rejected``, …).
      detail: for a person; says nothing of the event's content.
    """

    index: int
    reason: str
    detail: str


class Confirmation(NamedTuple):
    """What became of a bundle.

    Attributes:
      receipt: says later whether what was delivered was read, too.
      rejected: in order of index; everything else was delivered.
    """

    receipt: Receipt
    rejected: tuple[Rejection, ...] = ()


class Sender(Protocol):
    """See the module's contract. Nobody asks a sender what else it may be or have: this is all of it."""

    def begin(self, owner: Stream | None = None) -> None:
        """A bundle of a stream starts: what an earlier one left unconfirmed is forgotten, for the runner reads it again."""
        ...

    def send(self, page: FormattedPage) -> None:
        """Takes messages of one stream, without line break or framing; may block while the SIEM is away or slow.

        The row of each is there for kinds that say beside a message when it happened, or what its id is; it is empty where a
        dead letter is replayed whose event is gone.
        """
        ...

    def confirm(self) -> Confirmation:
        """Returns when everything since begin() is delivered, or rejected. Asked again, it says the same again."""
        ...

    def check(self) -> None:
        """Between bundles, cheap: looks whether the connection died, and mends what that may have lost."""
        ...

    def close(self, grace_secs: float) -> None:
        """Ends the connection in good order, within so many seconds."""
        ...

    def interrupt(self) -> None:
        """By another thread: whoever waits in send() or confirm() shall leave with ``BundleReplaced``."""
        ...

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        """By owner: messages that were confirmed and may never have been read; after close(), what is left of them."""
        ...

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        """Those of them that were sent again and again, and of which it will never be known whether they were read."""
        ...

    def given_up_is_kept(self) -> None:
        """Somebody keeps elsewhere what was given up."""
        ...

    def test_connection(self) -> None:
        """Connects once and sends nothing; not within a bundle. Raises FatalError or RetryLater with the cause."""
        ...

    @property
    def waited_secs(self) -> float:
        """How long the bundle has been waiting for the destination to take something; 0 while it flows."""
        ...

    @property
    def reconnects(self) -> int:
        """How often a connection that was lost was opened again."""
        ...

    @property
    def connected(self) -> bool:
        """Whether it has a connection now, or what takes its place. May be asked by any thread."""
        ...

    @property
    def held_bytes(self) -> int:
        """How much was confirmed and may be unread, kept to be sent again. May be asked by any thread."""
        ...


class KeepsNothing:
    """Base of senders to which *confirmed* is the end of it: what the contract asks of messages that may be unread."""

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up_is_kept(self) -> None:
        """Nothing is ever given up."""

    @property
    def connected(self) -> bool:
        """Of those that write to a file, always."""
        return True

    @property
    def held_bytes(self) -> int:
        return 0


def oversize(index: int, size_bytes: int, name: str, most_bytes: int, unit: str = "message") -> Rejection:
    """The rejection of a message that is longer than its destination takes."""
    return Rejection(index, "oversize", f"The message has {size_bytes} bytes; {name} takes {most_bytes} in one {unit}.")
