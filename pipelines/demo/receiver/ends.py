"""The sockets of the receiver: streams (TCP, TLS) and datagrams (UDP), and how they misbehave when they are told to.

Place in the flow: bytes from the network become messages for the tally here.
Contract: every socket is closed by the thread that reads from it, because closing it elsewhere would neither end the read nor
send the FIN or RST that was asked for.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field

from pipelines.demo.receiver.frames import FrameSplitter
from pipelines.demo.receiver.tally import Tally

_TICK_SECS = 0.05
_READ_BYTES = 256 * 1024
_HANDSHAKE_SECS = 10.0
_DATAGRAMS_AT_ONCE = 500
_DATAGRAM_BUFFER_BYTES = 32 * 1024 * 1024
_SO_RCVBUFFORCE = 33  # Linux; Python has no name for it


@dataclass(slots=True)
class Happenings:
    """What happened to connections.

    Attributes:
      accepted: connections taken. handshake_failures: why TLS failed, one text each.
      incomplete: connections that ended inside of a frame. framing_errors: frames that began like a count and were none.
    """

    accepted: int = 0
    handshake_failures: list[str] = field(default_factory=list)
    incomplete: int = 0
    framing_errors: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class Connection(threading.Thread):
    """One TCP or TLS connection.

    Args:
      reading: while it is cleared, nothing is read.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | None,
        reading: threading.Event,
        tally: Tally,
        happenings: Happenings,
    ) -> None:
        super().__init__(name="siem-connection", daemon=True)
        self._sock = sock
        self._tls = context
        self._reading = reading
        self._tally = tally
        self._happenings = happenings
        self._splitter = FrameSplitter()
        self._ending: str | None = None

    def end(self, how: str) -> None:
        """Ends the connection soon: ``close`` with a FIN, ``reset`` with a RST, ``drain`` with a FIN once all is read."""
        self._ending = how

    def run(self) -> None:
        """Reads until the client or somebody here ends it."""
        try:
            if self._tls is not None:
                self._sock.settimeout(_HANDSHAKE_SECS)
                self._sock = self._tls.wrap_socket(self._sock, server_side=True)
        except (OSError, ValueError) as error:
            self._happenings.handshake_failures.append(str(error))
            self._sock.close()
            return
        with contextlib.suppress(OSError):
            self._read()
        with self._happenings.lock:
            self._happenings.incomplete += bool(self._splitter.pending)
            self._happenings.framing_errors += self._splitter.errors
        self._close()

    def _read(self) -> None:
        self._sock.settimeout(_TICK_SECS)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while self._ending in {None, "drain"}:
            has_bytes = self._reading.wait(_TICK_SECS) and self._has_bytes(poll)
            if not has_bytes and self._ending == "drain":
                return
            # Asked again, because it may have changed during the wait.
            if not has_bytes or not self._reading.is_set() or self._ending not in {None, "drain"}:
                continue
            try:
                data = self._sock.recv(_READ_BYTES)
            except TimeoutError:  # a part of a TLS record
                continue
            if not data:
                return
            self._tally.add(self._splitter.feed(data))

    def _has_bytes(self, poll: select.poll) -> bool:
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return True
        return bool(poll.poll(_TICK_SECS * 1000))

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            if self._ending == "reset":
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                # The FIN goes out before close() may turn it into a RST because of bytes that nobody has read.
                self._sock.shutdown(socket.SHUT_WR)
        self._sock.close()


class StreamEnd:
    """Listens for TCP or TLS."""

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        reading: threading.Event,
        tally: Tally,
        happenings: Happenings,
    ) -> None:
        self._host = host
        self.port = port
        self._tls = context
        self._reading = reading
        self._tally = tally
        self._happenings = happenings
        self._lock = threading.Lock()
        self._connections: list[Connection] = []
        self._refusing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begins to listen, on the same port as before where there was one."""
        if self._thread is not None:
            return
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self._host, self.port))
        listener.listen(128)
        listener.settimeout(_TICK_SECS)
        self.port = listener.getsockname()[1]
        self._refusing.clear()
        self._thread = threading.Thread(target=self._accept, args=(listener,), name="siem-listener", daemon=True)
        self._thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while not self._refusing.is_set():
                try:
                    sock, _ = listener.accept()
                except TimeoutError:
                    continue
                self._happenings.accepted += 1
                connection = Connection(sock, self._tls, self._reading, self._tally, self._happenings)
                # Under the lock, so that a connection which is already read from cannot be missed by end_connections.
                with self._lock:
                    connection.start()
                    self._connections = [*(c for c in self._connections if c.is_alive()), connection]

    def refuse(self) -> None:
        """Stops listening; connections that are there go on."""
        if self._thread is None:
            return
        self._refusing.set()
        self._thread.join()
        self._thread = None

    def end_connections(self, how: str) -> None:
        """Ends every connection, and returns when they are ended."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.end(how)
        for connection in connections:
            connection.join(_HANDSHAKE_SECS)

    def connected(self) -> int:
        """Connections that are open."""
        return sum(connection.is_alive() for connection in self._connections)


class DatagramEnd:
    """Receives UDP: every datagram is one message."""

    def __init__(self, host: str, port: int, reading: threading.Event, tally: Tally) -> None:
        self._host = host
        self.port = port
        self._reading = reading
        self._tally = tally
        self._refusing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begins to receive, on the same port as before where there was one."""
        if self._thread is not None:
            return
        sock = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAM_BUFFER_BYTES)
        # The kernel's limit for everybody holds some 150 messages only; an administrator may go over it.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _DATAGRAM_BUFFER_BYTES)
        sock.bind((self._host, self.port))
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self._refusing.clear()
        self._thread = threading.Thread(target=self._receive, args=(sock,), name="siem-datagrams", daemon=True)
        self._thread.start()

    def _receive(self, sock: socket.socket) -> None:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        with sock:
            while not self._refusing.is_set():
                if not self._reading.wait(_TICK_SECS) or not poll.poll(_TICK_SECS * 1000) or not self._reading.is_set():
                    continue
                messages: list[bytes] = []
                with contextlib.suppress(OSError):
                    while len(messages) < _DATAGRAMS_AT_ONCE:
                        messages.append(sock.recv(65_536))
                self._tally.add([message for message in messages if message])

    def refuse(self) -> None:
        """Closes the socket: senders get "port unreachable"."""
        if self._thread is None:
            return
        self._refusing.set()
        self._thread.join()
        self._thread = None

    def end_connections(self, how: str) -> None:
        """There are none."""

    def connected(self) -> int:
        """There are none."""
        return 0
