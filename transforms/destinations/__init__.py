"""Destinations: how the messages of a bundle reach a SIEM, and what "delivered" honestly means for each transport.

Place in the flow: format → **destination**. A transport knows nothing of formats. A new one is one module with a
``make(settings.Destination) -> Sender``, one test folder and one line in ``TRANSPORTS``.

Contract of a sender (kept across bundles by ``transforms.destinations.pool``; used by one thread at a time, for the bundles
of any stream one after another):

    begin(owner)     a bundle of a stream starts: what an earlier, failed bundle left unconfirmed is forgotten (the runner reads
                     it again)
    send(message)    takes one message without line break or framing; may block while the SIEM is away or slow
                     Undeliverable: this message can never be sent (oversize); nothing of it was sent, go on with the next
    confirm()        the bundle's end: returns when everything since begin() is delivered in this transport's sense; the receipt
                     says later whether it was read, too
    check()          between bundles, cheap: looks whether the connection died, and mends what that may have lost
    close(grace)     ends the connection in good order, within so many seconds
    interrupt()      by another thread: whoever waits in send() or confirm() shall leave with ``BundleReplaced``
    unread()         by owner: messages that were confirmed and may never have been read; after close(), what is left of them
    given_up()       those of them that were sent again and again, and of which it will never be known; whoever has kept them
                     elsewhere says so with given_up_is_kept()
    reconnects       how often a connection that was lost was opened again
    waited_secs      how long the bundle has been waiting for the destination to take something; 0 while it flows
    test_connection()  connects once and sends nothing: raises FatalError or RetryLater with the cause; not within a bundle

send() and confirm() raise ``DeliveryTimeout`` (bundle fails, is read again), ``BadDestination`` (only a person can mend it),
``BundleReplaced`` or ``Stopping`` (the grace period of a shutdown is over). While they wait they ask
``transforms.process.shutdown.STOP``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from transforms.destinations.stream.tcp import make as make_tcp
from transforms.destinations.stream.tls import make as make_tls
from transforms.destinations.udp.sender import make as make_udp
from transforms.records import Stream
from transforms.settings import Destination
from transforms.state.receipts import Receipt


class Sender(Protocol):
    """See the module's contract."""

    def begin(self, owner: Stream | None = None) -> None: ...

    def send(self, message: bytes) -> None: ...

    def confirm(self) -> Receipt: ...

    def check(self) -> None: ...

    def close(self, grace_secs: float) -> None: ...

    def interrupt(self) -> None: ...

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]: ...

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]: ...

    def given_up_is_kept(self) -> None: ...

    def test_connection(self) -> None: ...

    @property
    def waited_secs(self) -> float: ...

    @property
    def reconnects(self) -> int: ...


TRANSPORTS: dict[str, Callable[[Destination], Sender]] = {
    "tcp": make_tcp,
    "tls": make_tls,
    "udp": make_udp,
}
