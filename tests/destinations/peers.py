"""Receivers on loopback that behave as a test tells them, with raw sockets."""

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

from transforms.destinations import KINDS, Confirmation
from transforms.destinations.stream.tuning import Tuning
from transforms.formats.json_lines import JsonOptions
from transforms.process.retry import RetryPolicy
from transforms.records import FormattedPage, Stream
from transforms.settings import Destination, Format

STREAM = Stream("acme", "auth")
FAST = Tuning(connecting=RetryPolicy(0.02, 0.1, immediate_first=True), block_bytes=4096, mend_secs=2.0)


def destination(port: int, kind: str = "tcp", host: str = "127.0.0.1", **changes) -> Destination:
    common = {key: changes.pop(key) for key in ("name", "max_message_bytes", "delivery_timeout_secs") if key in changes}
    common.setdefault("name", f"siem-{port}")
    return Destination(settings=KINDS[kind].settings(host, port, **changes), format=Format(JsonOptions()), **common)


def messages(count: int, start: int = 0, size: int = 200) -> list[bytes]:
    return [b"%08d " % number + b"x" * (size - 9) for number in range(start, start + count)]


def page(those: list[bytes], stream: Stream = STREAM) -> FormattedPage:
    """Messages for a sender that looks at nothing else."""
    return FormattedPage(stream, those, those)


def deliver(sender, those: list[bytes], batch: int = 7) -> Confirmation:
    sender.begin()
    for start in range(0, len(those), batch):
        sender.send(page(those[start : start + batch]))
    return sender.confirm()


def reset(connection: socket.socket) -> None:
    """Closes by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def eventually(condition: Callable[[], bool], secs: float = 5.0) -> None:
    end = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


class Peer:
    """Listens; each connection is handed to the next script, and to the last one for ever after.

    A script is a function of (peer, connection). What scripts read with ``read`` is in ``received``, whole lines only.
    """

    def __init__(self, *scripts, port: int = 0, receive_buffer_bytes: int | None = None) -> None:
        self.scripts = list(scripts) or [read_all]
        self._buffer = receive_buffer_bytes
        self.received: list[bytes] = []
        self.torn = 0  # connections that ended within a line
        self.connections: list[socket.socket] = []
        self.done = threading.Event()
        self._listen(port)

    def _listen(self, port: int) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(script, connection), daemon=True).start()

    def _run(self, script, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            script(self, connection)

    def read(self, connection: socket.socket, at_most: int | None = None) -> bool:
        """Reads to the end, or so many bytes; False where the connection broke."""
        data = b""
        try:
            while at_most is None or len(data) < at_most:
                piece = connection.recv(65536 if at_most is None else at_most - len(data))
                if not piece:
                    break
                data += piece
                *lines, rest = data.split(b"\n") if at_most is None else ([], data)
                if at_most is None:
                    self.received += lines
                    data = rest
        except OSError:
            self.torn += bool(data)
            return False
        if at_most is not None:
            *lines, data = data.split(b"\n")
            self.received += lines
        self.torn += bool(data)
        return True

    def stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def die(self) -> None:
        """As a crash: no new connections, every old one reset if it has unread bytes."""
        self.stop_listening()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a reader; the crash itself is the close below
            connection.close()

    def come_back(self) -> None:
        eventually(self._try_listen)

    def _try_listen(self) -> bool:
        with contextlib.suppress(OSError):
            self._listen(self.port)
            return True
        return False

    def lost(self, sent: list[bytes]) -> set[bytes]:
        return set(sent) - set(self.received)

    def repeats(self) -> int:
        return len(self.received) - len(set(self.received))


def read_all(peer: Peer, connection: socket.socket) -> None:
    peer.read(connection)
    connection.close()


def never_read(peer: Peer, connection: socket.socket) -> None:
    peer.done.wait(30)


def reset_after(count: int):
    def script(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection, count)
        reset(connection)

    return script


def reset_unread_after(secs: float):
    """Reads nothing; resets after a while, as a crash with a full buffer does."""

    def script(peer: Peer, connection: socket.socket) -> None:
        select.select([connection], [], [], 5)
        time.sleep(secs)
        connection.close()  # unread bytes make this a reset

    return script


def close_after(count: int):
    def script(peer: Peer, connection: socket.socket) -> None:
        peer.read(connection, count)
        connection.close()

    return script


def stall_then_read(secs: float):
    def script(peer: Peer, connection: socket.socket) -> None:
        time.sleep(secs)
        read_all(peer, connection)

    return script
