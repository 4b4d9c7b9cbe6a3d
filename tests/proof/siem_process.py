"""A SIEM in a process of its own, to be killed with bytes unread in its kernel: ``python siem_process.py PORT FILE [BYTES]``.

Place: ``chaos`` starts, torments and kills it, and reads its file.

Contract: takes lines over TCP and appends the event's id of each to FILE, one a line. It looks at bytes, stores what they say,
and only then takes them off the socket: whatever was read is stored, at whichever moment it is killed, and what is not stored
is unread. Words on standard input: ``read``, ``hang``, ``reset`` (all connections), ``goodbye`` (a FIN on all, and nothing more
is read from them). BYTES: of its receive buffer.
"""

import contextlib
import os
import re
import select
import socket
import struct
import sys

_ID = re.compile(rb'"(?:txid|activity_id)": ?"([^"]+)"')
_PEEK_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)


class Siem:
    """The listening end and its connections."""

    def __init__(self, port: int, file: str, receive_bytes: int | None) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen()
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._connections: set[socket.socket] = set()
        self._ended: set[socket.socket] = set()  # of those, the ones that nothing more is read from
        self._begun: dict[socket.socket, bytes] = {}
        self._reads = True

    def run(self) -> None:
        """Until standard input ends."""
        while True:
            reading = self._connections - self._ended if self._reads else set()
            ready, _, _ = select.select([sys.stdin.fileno(), self._listener, *reading], [], [], 1.0)
            for one in ready:
                if one is self._listener:
                    self._connections.add(self._listener.accept()[0])
                elif isinstance(one, socket.socket):
                    self._read(one)
                elif not self._obey(os.read(one, 1000).decode().split()):
                    return

    def _read(self, connection: socket.socket) -> None:
        try:
            seen = connection.recv(_PEEK_BYTES, socket.MSG_PEEK)
            whole = seen.rfind(b"\n") + 1
            if whole:
                ids = _ID.findall(self._begun.pop(connection, b"") + seen[:whole])
                os.write(self._file, b"".join(found + b"\n" for found in ids))
                connection.recv(whole)
            elif seen:
                # The beginning of a line: its sender does not take it for read before the rest is.
                self._begun[connection] = self._begun.get(connection, b"") + connection.recv(len(seen))
            else:
                self._close(connection)
        except OSError:
            self._close(connection)

    def _obey(self, words: list[str]) -> bool:
        for word in words:
            if word in ("read", "hang"):
                self._reads = word == "read"
            for connection in list(self._connections):
                if word == "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    self._close(connection)
                elif word == "goodbye":
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
                    self._ended.add(connection)
        return bool(words)

    def _close(self, connection: socket.socket) -> None:
        self._connections.discard(connection)
        self._ended.discard(connection)
        self._begun.pop(connection, None)
        connection.close()


if __name__ == "__main__":
    Siem(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None).run()
