"""Stands between a client and a broker on loopback, and does to their connections what networks do.

Contract: each connection is carried by two threads. ``faults`` apply to what passes from then on; leaving a ``with`` ends all.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from typing_extensions import Self


class Proxy:
    """See the module.

    Attributes:
      mute: what the broker answers is thrown away. slow_secs: before each piece that is passed on.
      cut_after_bytes: connections are reset once so much has come from the client; None for never.
      connections: how many there were.
    """

    def __init__(self, port: int, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self.mute = False
        self.slow_secs = 0.0
        self.cut_after_bytes: int | None = None
        self.connections = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Resets every connection there is now."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone leaves it open while somebody waits in accept()
        self._listener.close()
        self.cut()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                broker = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            self._open += [client, broker]
            for args in ((client, broker, True), (broker, client, False)):
                threading.Thread(target=self._carry, args=args, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if self.slow_secs:
                    time.sleep(self.slow_secs)
                if from_client and self.cut_after_bytes is not None:
                    piece = piece[: self.cut_after_bytes]
                    self.cut_after_bytes -= len(piece)
                    sink.sendall(piece)
                    if self.cut_after_bytes <= 0:
                        self.cut_after_bytes = None
                        break
                elif from_client or not self.mute:
                    sink.sendall(piece)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
