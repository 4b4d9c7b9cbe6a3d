"""Destinations: how the messages of a bundle reach a SIEM, and what "delivered" honestly means for each kind.

Place in the flow: format → **destination**. A kind of destination knows nothing of formats. A new one is one module with its
``KindSettings`` and a ``make(settings.Destination) -> Sender``, one test folder and one line in ``KINDS``; a program of its own
calls ``register`` instead, before it reads a configuration. What the configuration file accepts, its schema, its sample and
which secrets there are follow from the settings. No sender and nothing of Beam is loaded here, so that who needs the settings
only, such as the configuration, does not wait for them.

Contract of a sender (kept across bundles by ``transforms.destinations.pool``; used by one thread at a time, for the bundles
of any stream one after another):

    begin(owner)     a bundle of a stream starts: what an earlier, failed bundle left unconfirmed is forgotten (the runner reads
                     it again)
    send(message)    takes one message without line break or framing; may block while the SIEM is away or slow
                     Undeliverable: this message can never be sent (oversize); nothing of it was sent, go on with the next
    confirm()        the bundle's end: returns when everything since begin() is delivered in this kind's sense; the receipt
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

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from transforms.destinations.stream.settings import TcpSettings, TlsSettings
from transforms.destinations.udp.settings import UdpSettings
from transforms.records import Stream
from transforms.settings import Destination, KindSettings
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


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of destination: its settings, which are its section of the configuration file, and what sends to one."""

    settings: type[KindSettings]
    make: Callable[[Destination[Any]], Sender]

    @property
    def name(self) -> str:
        return self.settings.kind


def _made_by(module: str) -> Callable[[Destination[Any]], Sender]:
    """``make`` of a module that is loaded when the first sender is made."""

    def make(destination: Destination[Any]) -> Sender:
        sender: Sender = importlib.import_module(module).make(destination)
        return sender

    return make


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(TcpSettings, _made_by("transforms.destinations.stream.tcp")),
        Kind(TlsSettings, _made_by("transforms.destinations.stream.tls")),
        Kind(UdpSettings, _made_by("transforms.destinations.udp.sender")),
    )
}


def register(kind: Kind) -> None:
    """Adds a kind from outside. Call it before ``pipelines.config`` is imported, in every process."""
    KINDS[kind.name] = kind


def make_sender(destination: Destination) -> Sender:
    """What sends to a destination."""
    return KINDS[destination.kind].make(destination)
