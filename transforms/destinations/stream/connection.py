"""One connection to a SIEM: opening it, and what the delivery may ask of it.

Place in the flow: ``tcp`` and ``tls`` make connections, ``delivery`` uses them.

Contract: a connection never blocks except in ``wait_writable``; whoever opens one calls ``watch`` often while waiting, which
raises when it is time to give up. Plain and TLS connections differ only in how they write, look and end.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

from transforms.destinations.stream import socket_probe
from transforms.destinations.stream.socket_probe import Peer, TcpFacts

Watch = Callable[[], None]

_SLICE_SECS = 0.2  # how late a wait may notice that it should end
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPALIVE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class ConnectionLost(Exception):
    """Nothing more can be written to the connection.

    Attributes:
      goodbye: the receiver ended it in good order and had acknowledged all: whether it read that too shows a little later, so
        the connection is still worth a look. Without a goodbye, what was acknowledged may never have been read.
    """

    def __init__(self, cause: str, *, goodbye: bool = False) -> None:
        super().__init__(cause)
        self.goodbye = goodbye


class Connection(Protocol):
    """What the delivery needs.

    Attributes:
      tells_unread: a receiver that closes it with bytes unread cannot hide that: a reset comes.
    """

    tells_unread: bool

    def write(self, frames: memoryview) -> int:
        """Takes some of it and says how much; 0 when nothing more fits now. Raises ConnectionLost."""
        ...

    def look(self) -> None:
        """Raises ConnectionLost when a FIN, a reset or an alert has arrived."""
        ...

    def unacknowledged_bytes(self) -> int | None: ...

    def facts(self) -> TcpFacts | None: ...

    def wait_writable(self, secs: float) -> None:
        """Waits until more fits, something arrived or the time is over."""
        ...

    def shut(self) -> bool:
        """Says that nothing more comes; False where that did not fit yet. After that it is only asked how it ends."""
        ...

    def end(self) -> Peer:
        """How the peer ends the connection, as far as it has arrived."""
        ...

    def abandon(self) -> None:
        """Closes without waiting."""
        ...


class PlainConnection:
    """A connection over a plain socket."""

    tells_unread = True

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._shut = False

    def write(self, frames: memoryview) -> int:
        try:
            return self._sock.send(frames)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise ConnectionLost(str(error.strerror or error)) from error

    def look(self) -> None:
        peer = socket_probe.look_at_peer(self._sock)
        if peer is not Peer.ALIVE:
            raise self._ended(peer)

    def _ended(self, peer: Peer) -> ConnectionLost:
        if peer is Peer.RESET:
            return ConnectionLost("the receiver reset the connection")
        # What it had not acknowledged by then it never will.
        return ConnectionLost("the receiver closed the connection", goodbye=not self.unacknowledged_bytes())

    def unacknowledged_bytes(self) -> int | None:
        return socket_probe.unacknowledged_bytes(self._sock)

    def facts(self) -> TcpFacts | None:
        return socket_probe.tcp_facts(self._sock)

    def wait_writable(self, secs: float) -> None:
        poll(self._sock, select.POLLOUT | select.POLLIN, secs)

    def shut(self) -> bool:
        self._shut = True
        with contextlib.suppress(OSError):  # it is over already; ``end`` says how
            self._sock.shutdown(socket.SHUT_WR)
        return True

    def end(self) -> Peer:
        return socket_probe.look_at_peer(self._sock, shut=self._shut)

    def abandon(self) -> None:
        self._sock.close()


def poll(sock: socket.socket, events: int, secs: float) -> bool:
    """Whether one of the events, an error or a hang-up comes within the time."""
    poller = select.poll()
    poller.register(sock.fileno(), events)
    return bool(poller.poll(max(0.0, secs) * 1000))


def wait_ready(sock: socket.socket, events: int, deadline: float, watch: Watch) -> None:
    """Waits until the socket is ready. Raises TimeoutError, or what ``watch`` raises."""
    while True:
        watch()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        if poll(sock, events, min(left, _SLICE_SECS)):
            return


def open_socket(host: str, port: int, deadline: float, watch: Watch) -> socket.socket:
    """A connected non-blocking TCP socket; every address of the host is tried in turn. Raises OSError."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    last: OSError = OSError(f"{host} has no address")
    for position, (family, _, _, _, address) in enumerate(addresses):
        # An address that does not answer must not use up the time of those after it.
        share = (deadline - time.monotonic()) / (len(addresses) - position)
        try:
            return _open_one(family, address, time.monotonic() + share, watch)
        except OSError as error:
            last = error
    raise last


def _open_one(family: int, address: object, deadline: float, watch: Watch) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        set_options(sock)
        with contextlib.suppress(BlockingIOError):
            sock.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gave it
        wait_ready(sock, select.POLLOUT, deadline, watch)
        _must_be_connected(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _must_be_connected(sock: socket.socket) -> None:
    if code := socket_probe.pending_error(sock):
        raise OSError(code, os.strerror(code))
    if sock.getsockname() == sock.getpeername():
        # Nobody listens, but the port is in the range of outgoing ports and the kernel connected us with ourselves.
        raise ConnectionRefusedError("Connection refused")


def set_options(sock: socket.socket) -> None:
    """No delay for the last bytes of a bundle; a peer that vanished while idle is noticed within about a minute.

    TCP_USER_TIMEOUT is left alone on purpose: measured on Linux 6.18, it also ends a connection whose receiver answers but has
    its window closed, and a SIEM that stalls must be waited for. Silence is watched by the delivery itself (``TcpFacts``).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
