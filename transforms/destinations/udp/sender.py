"""UDP: one message per datagram, nothing around it.

Place in the flow: one of the transports.

UDP promises nothing: a datagram that is dropped on the way, or because the receiver's buffer is full, is gone without a trace.
What can be known is used: the socket is connected, so that a refusal ("nobody listens", an ICMP message) comes back as an error
of a later call. confirm() waits a moment for it. After a refusal the bundle is sent again from its beginning, with back-off,
the first datagram alone to see whether anybody listens; so a bundle, or two, may arrive twice. A refusal that shows before the
first datagram of a bundle was meant for the bundle before it, which is then sent again as well. All that is sent, the first
time or again, keeps to the pace of ``transforms.destinations.udp.pace``: a receiver's buffer holds only about a hundred
datagrams.

Contract: as in ``transforms.destinations``; longer than a datagram can be is ``Undeliverable``, never cut.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import time
from dataclasses import dataclass

from transforms.destinations.health import health_of
from transforms.destinations.stream import socket_probe
from transforms.destinations.stream.connection import poll
from transforms.destinations.udp.pace import pace_of
from transforms.errors import BundleReplaced, DeliveryTimeout, RetryLater, Stopping, Undeliverable
from transforms.process.shutdown import STOP
from transforms.records import Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE, Receipt

_LARGEST = {socket.AF_INET: 65507, socket.AF_INET6: 65527}


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      refusal_secs: how long confirm() waits for a refusal.
      backoff_first_secs, backoff_max_secs: bounds of the pauses after refusals.
    """

    refusal_secs: float = 0.005
    backoff_first_secs: float = 0.5
    backoff_max_secs: float = 30.0


def make(destination: Destination, tuning: Tuning | None = None) -> UdpSender:
    """A sender that resolves the host when the first message is sent."""
    return UdpSender(destination, tuning or Tuning())


class UdpSender:
    """A ``Sender`` over UDP.

    Attributes:
      reconnects: refusals after which sending began again.
      resent: datagrams that were sent once more.
    """

    def __init__(self, destination: Destination, tuning: Tuning) -> None:
        self._destination = destination
        self._tuning = tuning
        self._health = health_of(destination)
        self._pace = pace_of(destination)
        self._socket: socket.socket | None = None
        self._largest = 0
        self._bundle: list[bytes] = []
        self._before: list[bytes] = []  # the bundle before: a refusal of it may still be on its way
        self._refused: list[bytes] = []  # the bundle before, once that refusal has come
        self._refusals = 0
        self._waiting_since: float | None = None
        self._interrupted = False
        self.reconnects = 0
        self.resent = 0

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002  # nothing is kept that would need an owner
        self._bundle = []
        self._waiting_since = None
        self._interrupted = False
        self._look_back()

    def send(self, message: bytes) -> None:
        sock = self._socket or self._opened()
        if len(message) > self._largest:
            raise self._oversize(len(message))
        self._bundle.append(message)
        if self._refused:
            self._insist("nobody listens there")
            return
        try:
            self._send_one(sock, message)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self._bundle.pop()
                raise self._oversize(len(message)) from error
            self._insist(str(error.strerror or error))

    def confirm(self) -> Receipt:
        if not self._bundle:
            return READ_AT_ONCE
        while True:
            self._rest(self._tuning.refusal_secs)
            code = socket_probe.pending_error(self._opened())
            if not code:
                break
            self._insist(os.strerror(code))
        self._before, self._bundle, self._refused = self._bundle, [], []
        self._refusals = 0
        return READ_AT_ONCE

    def check(self) -> None:
        self._look_back()

    def close(self, grace_secs: float) -> None:  # noqa: ARG002  # nothing to wait for
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def interrupt(self) -> None:
        self._interrupted = True

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up_is_kept(self) -> None:
        """Nothing is ever given up."""

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for somebody to listen."""
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    def test_connection(self) -> None:
        """Resolves the host; UDP has nothing more to test. Raises RetryLater."""
        try:
            self._open()
        except OSError as error:
            raise RetryLater(f"{self._destination.name}: {error.strerror or error}.", kind="network") from error

    def _look_back(self) -> None:
        """A refusal that is here before the first datagram of a bundle was meant for the bundle before it."""
        if self._socket is not None and socket_probe.pending_error(self._socket) and self._before:
            self._refused, self._before = self._before, []
            self._health.away("nobody listens there")

    def _opened(self) -> socket.socket:
        while self._socket is None:
            try:
                self._open()
            except OSError as error:
                self._back_off(str(error.strerror or error))
        return self._socket

    def _open(self) -> None:
        destination = self._destination
        family, _, _, _, address = socket.getaddrinfo(destination.host, destination.port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        self.close(0)
        self._socket = sock
        self._largest = min(destination.max_message_bytes or _LARGEST[socket.AF_INET6], _LARGEST[family])

    def _send_one(self, sock: socket.socket, message: bytes) -> None:
        if (wait_secs := self._pace.take(len(message))) > 0:
            self._rest(wait_secs)
        while True:
            try:
                sock.send(message)
                break
            except BlockingIOError:
                self._watch()
                poll(sock, select.POLLOUT, 0.2)

    def _insist(self, cause: str) -> None:
        """Sends everything that may have been refused once more, until no refusal comes while doing so."""
        while True:
            self._back_off(cause)
            self.reconnects += 1
            try:
                self._open()  # the name may mean another address by now
                self._send_again(self._opened())
            except OSError as error:
                cause = str(error.strerror or error)
            else:
                self._health.back(len(self._refused) + len(self._bundle))
                self._bundle[:0], self._refused = self._refused, []
                return

    def _send_again(self, sock: socket.socket) -> None:
        for position, message in enumerate([*self._refused, *self._bundle]):
            self._send_one(sock, message)
            self.resent += 1
            if position == 0:
                self._rest(self._tuning.refusal_secs)
                if code := socket_probe.pending_error(sock):
                    raise OSError(code, os.strerror(code))

    def _back_off(self, cause: str) -> None:
        self._health.away(cause)
        longest = min(self._tuning.backoff_max_secs, self._tuning.backoff_first_secs * 2.0 ** min(self._refusals, 16))
        self._refusals += 1
        end = time.monotonic() + random.uniform(longest / 2, longest)  # spreads attempts, hides nothing
        while (left := end - time.monotonic()) > 0:
            self._watch()
            self._rest(min(left, 0.2))

    def _rest(self, secs: float) -> None:
        STOP.sleep_in_grace(secs)

    def _watch(self) -> None:
        now = time.monotonic()
        if self._interrupted:
            raise BundleReplaced(f"{self._destination.name}: another bundle of the same stream has begun.")
        if STOP.expired:
            raise Stopping(f"{self._destination.name}: the grace period is over; what is not confirmed is read again.")
        self._waiting_since = self._waiting_since or now
        limit = self._destination.delivery_timeout_secs
        if limit is not None and now - self._waiting_since >= limit:
            raise DeliveryTimeout(f"{self._destination.name} could not be sent to within {limit:g} s.")

    def _oversize(self, size: int) -> Undeliverable:
        return Undeliverable(
            f"The message has {size} bytes; {self._destination.name} takes {self._largest} in one datagram.", reason="oversize"
        )
