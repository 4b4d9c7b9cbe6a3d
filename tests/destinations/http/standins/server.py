"""An HTTP server on loopback that does to each request what a test tells it; what a vendor's receiver does stands elsewhere.

A ``Receiver`` says what became of a request's events, as the vendor's would; ``StandIn`` serves it, and a ``Trouble`` comes
between the two. Each stand-in of a vendor was first used with the vendor's own client (``test_standins``), so that it is not
only what our sender believes.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes  # decompressed
    at: float = field(default_factory=time.monotonic)


@dataclass
class Reply:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Receiver(Protocol):
    """A vendor's receiver.

    Attributes:
      received: the events that it has taken, in order, as it would store them.
    """

    received: list[bytes]

    def answer(self, asked: Asked) -> Reply: ...


Trouble = Callable[["Exchange"], None]
"""Does something else than to answer in good order, to one request."""


class Exchange:
    """One request that a trouble deals with."""

    def __init__(self, handler: _Handler, asked: Asked, receiver: Receiver) -> None:
        self.asked = asked
        self._handler = handler
        self._receiver = receiver

    def take(self) -> Reply:
        """The receiver gets the request."""
        return self._receiver.answer(self.asked)

    def reply(self, reply: Reply) -> None:
        self._handler.reply(reply)

    def cut(self) -> None:
        """Ends the connection by a reset."""
        self._handler.cut()

    def write(self, data: bytes) -> None:
        self._handler.wfile.write(data)
        self._handler.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 30

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()
        self.server.sockets.add(self.request)
        self.server.stand_in.connections += 1

    def finish(self) -> None:
        self.server.sockets.discard(self.request)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def do_POST(self) -> None:
        stand_in = self.server.stand_in
        if stand_in.cuts_body_after is not None:
            after, stand_in.cuts_body_after = stand_in.cuts_body_after, None
            self.rfile.read(after)
            self.cut()
            return
        length = int(self.headers.get("Content-Length") or 0)
        if stand_in.cuts_above is not None and length > stand_in.cuts_above:
            self.rfile.read(stand_in.cuts_above)
            self.cut()
            return
        body = self.rfile.read(length)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        parts = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, query, headers, body)
        with stand_in.lock:
            stand_in.asked.append(asked)
            trouble = stand_in.troubles.pop(0) if stand_in.troubles else None
        exchange = Exchange(self, asked, stand_in.receiver)
        if trouble is not None:
            trouble(exchange)
            return
        with stand_in.lock:
            reply = exchange.take()
        if stand_in.slow_secs:
            time.sleep(stand_in.slow_secs)
        self.reply(reply)

    do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in (204, 304):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()

    def cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *args: object) -> None:
        """Nothing: tests look at what was asked."""


class StandIn:
    """Serves a receiver.

    Attributes:
      asked: all requests, in order. troubles: what to do to the next ones.
      connections: how many were opened. slow_secs: how long each answer takes.
      cuts_body_after: of the next request only so many bytes are read, before its connection is reset.
      cuts_above: so it is done to every request that is longer.
    """

    def __init__(self, receiver: Receiver, *, tls: ssl.SSLContext | None = None) -> None:
        self.receiver = receiver
        self.asked: list[Asked] = []
        self.troubles: list[Trouble] = []
        self.connections = 0
        self.slow_secs = 0.0
        self.cuts_body_after: int | None = None
        self.cuts_above: int | None = None
        self.lock = threading.RLock()
        self._tls = tls
        self._server: _Server | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def received(self) -> list[bytes]:
        return self.receiver.received

    def start(self) -> None:
        """Listens, again on the same port."""
        self._server = _Server(self.port, self)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """As when it dies: every connection is reset, and nobody listens."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        for sock in list(server.sockets):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)

    def repeats(self) -> int:
        return len(self.received) - len(set(self.received))


# ---- troubles ----


def status(code: int, body: bytes = b"", **headers: str) -> Trouble:
    """Answers so, and takes nothing."""
    return lambda exchange: exchange.reply(Reply(code, body, {name.replace("_", "-"): text for name, text in headers.items()}))


def silence_after_taking(secs: float) -> Trouble:
    """Takes the request, and does not answer for so long."""

    def trouble(exchange: Exchange) -> None:
        exchange.take()
        time.sleep(secs)
        exchange.cut()

    return trouble


def cut_after_taking(exchange: Exchange) -> None:
    """Takes the request, and resets the connection in place of an answer."""
    exchange.take()
    exchange.cut()


def cut_in_the_answer(exchange: Exchange) -> None:
    """Takes the request, and ends the connection in the middle of the answer."""
    reply = exchange.take()
    exchange.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (reply.status, len(reply.body) + 10, reply.body))
    exchange.cut()


def dripping_answer(secs: float) -> Trouble:
    """Takes the request, and answers a byte at a time, for ever."""

    def trouble(exchange: Exchange) -> None:
        exchange.take()
        with contextlib.suppress(OSError):
            exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            end = time.monotonic() + secs
            while time.monotonic() < end:
                exchange.write(b"x")
                time.sleep(0.05)
        exchange.cut()

    return trouble
