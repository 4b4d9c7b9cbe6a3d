"""UDP: one message per datagram, nothing around it.

Place in the flow: one of the kinds.

UDP promises nothing: a datagram that is dropped on the way, or because the receiver's buffer is full, is gone without a trace.
What can be known is used: the socket is connected and asks for every error, so that a refusal ("nobody listens", "no way to
that machine": an ICMP message, or no answer to the question for its address) comes back as an error of a later call. confirm()
waits a moment for it. After a refusal the bundle is sent again from its beginning, with back-off, the first datagram alone to
see whether anybody listens; so a bundle, or two, may arrive twice. A refusal that shows before the first datagram of a bundle
was meant for the bundle before it, which is then sent again as well. It takes the network three seconds to find out that a
machine is not there: what was sent in them, but for the last two bundles, is lost. What this machine's own queue has no room
for is sent when it has. All that is sent, the first time or again, keeps to the pace of ``transforms.destinations.udp.pace``: a
receiver's buffer holds only about a hundred datagrams.

Contract: as in ``transforms.destinations.sender``; what is longer than a datagram can be is rejected, never cut.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from dataclasses import dataclass, replace
from operator import attrgetter

from transforms.destinations.health import health_of
from transforms.destinations.sender import Confirmation, Rejection, oversize
from transforms.destinations.stream import socket_probe
from transforms.destinations.stream.connection import poll
from transforms.destinations.udp.pace import pace_of
from transforms.destinations.udp.settings import UdpSettings
from transforms.destinations.waits import CONNECTING, Waits
from transforms.errors import RetryLater
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination
from transforms.state.receipts import READ_AT_ONCE

# To be told of all errors, and of datagrams that this machine's own queue drops. Linux has these numbers, Python no names.
_ALL_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
_NO_WAY_THERE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)
_LARGEST = {socket.AF_INET: 65507, socket.AF_INET6: 65527}


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and sizes that nobody configures; tests shorten them.

    Attributes:
      refusal_secs: how long confirm() waits for a refusal.
      lost_way_secs: how long the network takes to find out that a machine is not there.
      full_queue_secs: the pause where this machine's own queue is full.
      connecting: the pauses after refusals.
    """

    refusal_secs: float = 0.005
    lost_way_secs: float = 3.5
    full_queue_secs: float = 0.01
    connecting: RetryPolicy = CONNECTING


@dataclass(frozen=True, slots=True)
class _Datagram:
    """A message on its way. ``index``: as in ``Rejection``; None for one of the bundle before, which is sent again."""

    index: int | None
    message: bytes


def make(destination: Destination[UdpSettings], tuning: Tuning | None = None) -> UdpSender:
    """A sender that resolves the host when the first message is sent."""
    return UdpSender(destination, tuning or Tuning())


class UdpSender:
    """A ``Sender`` over UDP.

    Attributes:
      reconnects: refusals after which sending began again.
      resent: datagrams that were sent once more.
    """

    def __init__(self, destination: Destination[UdpSettings], tuning: Tuning) -> None:
        self._destination = destination
        self._tuning = tuning
        self._health = health_of(destination)
        self._pace = pace_of(destination)
        self._socket: socket.socket | None = None
        self._largest = 0
        self._waits = Waits(destination, tuning.connecting)
        self._taken = 0  # messages of this bundle
        self._rejected: list[Rejection] = []  # of them
        self._bundle: list[_Datagram] = []
        self._before: list[_Datagram] = []  # the bundle before: a refusal of it may still be on its way
        self._refused: list[_Datagram] = []  # the bundle before, once that refusal has come
        self._refusal = 0  # its errno
        self.reconnects = 0
        self.resent = 0

    def begin(self, owner: Stream | None = None) -> None:  # noqa: ARG002  # nothing is kept that would need an owner
        self._taken = 0
        self._rejected = []
        self._bundle = []
        self._waits.begin()
        self._look_back()

    def send(self, page: FormattedPage) -> None:
        for index, message in enumerate(page.messages, self._taken):
            self._taken += 1
            self._send(_Datagram(index, message))

    def _send(self, datagram: _Datagram) -> None:
        sock = self._socket or self._opened()
        if len(datagram.message) > self._largest:
            self._rejected.append(self._oversize(datagram))
            return
        self._bundle.append(datagram)
        if self._refused:
            self._insist(self._refusal)
            return
        try:
            self._send_one(sock, datagram.message)
        except OSError as error:
            if error.errno == errno.EMSGSIZE and self._is_too_long(sock, datagram.message):
                self._reject(datagram)
            else:
                self._insist(error)

    def confirm(self) -> Confirmation:
        while self._bundle:
            if code := self._refused_within(self._tuning.refusal_secs, self._opened()):
                self._insist(code)
            else:
                self._before, self._bundle = self._bundle, []
                self._waits.succeeded()
        return Confirmation(READ_AT_ONCE, tuple(sorted(self._rejected, key=attrgetter("index"))))

    def check(self) -> None:
        self._look_back()

    def close(self, grace_secs: float) -> None:  # noqa: ARG002  # nothing to wait for
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def interrupt(self) -> None:
        self._waits.interrupt()

    def unread(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up(self) -> list[tuple[Stream | None, list[bytes]]]:
        return []

    def given_up_is_kept(self) -> None:
        """Nothing is ever given up."""

    @property
    def waited_secs(self) -> float:
        """How long this bundle has waited for somebody to listen."""
        return self._waits.waited_secs

    @property
    def connected(self) -> bool:
        return self._socket is not None

    @property
    def held_bytes(self) -> int:
        return 0  # nothing is known of what was read

    def test_connection(self) -> None:
        """Resolves the host; UDP has nothing more to test. Raises RetryLater."""
        try:
            self._open()
        except OSError as error:
            raise RetryLater(f"{self._destination.name}: {_cause(error)}.", kind="network") from error

    def _look_back(self) -> None:
        """A refusal that is here before the first datagram of a bundle was meant for the bundle before it."""
        if self._socket is not None and (code := socket_probe.pending_error(self._socket)) and self._before:
            self._refusal = code
            self._suspect_bundle_before()
            self._health.away(os.strerror(code))

    def _suspect_bundle_before(self) -> None:
        self._refused += [replace(datagram, index=None) for datagram in self._before]
        self._before = []

    def _opened(self) -> socket.socket:
        while self._socket is None:
            try:
                self._open()
            except OSError as error:
                self._back_off(_cause(error))
        return self._socket

    def _open(self) -> None:
        destination = self._destination
        there = destination.settings
        family, _, _, _, address = socket.getaddrinfo(there.host, there.port, type=socket.SOCK_DGRAM)[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if sys.platform == "linux":
                sock.setsockopt(*_ALL_ERRORS[family], 1)
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        self.close(0)
        self._socket = sock
        self._largest = min(destination.max_message_bytes or _LARGEST[socket.AF_INET6], _LARGEST[family])

    def _send_one(self, sock: socket.socket, message: bytes) -> None:
        if (wait_secs := self._pace.take(len(message))) > 0:
            self._waits.rest(wait_secs)
        while True:
            try:
                sock.send(message)
            except BlockingIOError:
                self._waits.watch()
                poll(sock, select.POLLOUT, 0.2)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._waits.watch()
                self._waits.rest(self._tuning.full_queue_secs)
            else:
                self._waits.moved()
                return

    @staticmethod
    def _is_too_long(sock: socket.socket, message: bytes) -> bool:
        """Whether that size is this message's fault. The network may as well have said it of one that was sent before."""
        try:
            sock.send(message)
        except OSError as error:
            return error.errno == errno.EMSGSIZE
        return False

    def _refused_within(self, secs: float, sock: socket.socket) -> int:
        """The errno of a refusal that comes so soon; 0 for none."""
        while True:
            step_secs = min(secs, 0.2)
            self._waits.rest(step_secs)
            code = socket_probe.pending_error(sock)
            secs -= step_secs
            if code or secs <= 0:
                return code
            self._waits.watch()

    def _insist(self, refusal: OSError | int) -> None:
        """Sends everything that may have been refused once more, until no refusal comes while doing so."""
        error = OSError(refusal, os.strerror(refusal)) if isinstance(refusal, int) else refusal
        while True:
            self._back_off(_cause(error))
            self.reconnects += 1
            no_way = error.errno in _NO_WAY_THERE
            if no_way:  # it takes so long to find that out that the bundle before went nowhere as well
                self._suspect_bundle_before()
            try:
                self._open()  # the name may mean another address by now
                self._send_again(self._opened(), self._tuning.lost_way_secs if no_way else self._tuning.refusal_secs)
            except OSError as again:
                error = again
            else:
                self._bundle[:0], self._refused = self._refused, []
                self._health.back(len(self._bundle))
                return

    def _send_again(self, sock: socket.socket, answer_secs: float) -> None:
        probed = False
        for datagram in [*self._refused, *self._bundle]:
            try:
                self._send_one(sock, datagram.message)
            except OSError as error:
                if error.errno != errno.EMSGSIZE or not self._is_too_long(sock, datagram.message):
                    raise
                self._reject(datagram)  # the way there takes less than it did
                continue
            self.resent += 1
            if not probed:
                probed = True
                if code := self._refused_within(answer_secs, sock):
                    raise OSError(code, os.strerror(code))

    def _reject(self, datagram: _Datagram) -> None:
        """The network takes none of that size. Of the bundle before that is no news: all of it was sent once."""
        (self._refused if datagram in self._refused else self._bundle).remove(datagram)
        if datagram.index is not None:
            self._rejected.append(self._oversize(datagram))

    def _oversize(self, datagram: _Datagram) -> Rejection:
        index = datagram.index or 0
        return oversize(index, len(datagram.message), self._destination.name, self._largest, "datagram")

    def _back_off(self, cause: str) -> None:
        self._health.away(cause)
        self._waits.failed()
        self._waits.watch()
        while pause_secs := self._waits.pause_secs:
            self._waits.rest(min(pause_secs, 0.2))
            self._waits.watch()


def _cause(error: OSError) -> str:
    return str(error.strerror or error)
