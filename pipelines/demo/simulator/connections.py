"""Listens, takes connections, and runs one thread for each.

Place in the flow: between the network and ``server.DuoSimulator.respond``.
Contract: a bad TLS handshake or a broken client ends its own connection only; ``stop`` closes every connection and returns when
the listening socket is closed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import socketserver
import ssl
import sys
import threading
from typing import BinaryIO, Protocol, cast

from pipelines.demo.simulator import wire
from pipelines.demo.simulator.answers import Answer
from pipelines.demo.simulator.faults import Fault
from pipelines.demo.simulator.signatures import Request

_LOGGER = logging.getLogger("duologsync.demo")
_HANDSHAKE_SECS = 10.0


class Responder(Protocol):
    """Whoever answers requests."""

    def respond(self, request: Request) -> tuple[Answer, Fault | None, float]:
        """The answer, how it should go wrong, and the server's time."""
        ...


def is_loopback(host: str) -> bool:
    """Whether a host name to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(tls: tuple[str, str] | ssl.SSLContext | None) -> ssl.SSLContext | None:
    """A server context of certificate and key."""
    if tls is None or isinstance(tls, ssl.SSLContext):
        return tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*tls)
    return context


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None, responder: Responder) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.context = context
        self.responder = responder
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class gives it
        """Says in the debug log what ended a connection; it concerns that client alone."""
        _LOGGER.debug("A connection from %s ended with an error.", client_address, exc_info=sys.exc_info()[1])


class _Handler(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        server = cast("_Server", self.server)
        sock: socket.socket = self.request
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.context is not None:
            sock.settimeout(_HANDSHAKE_SECS)
            sock = server.context.wrap_socket(sock, server_side=True)
            sock.settimeout(None)
        with server.lock:
            server.connections.add(sock)
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLError, ValueError), sock.makefile("rb", 65_536) as stream:
                _converse(sock, cast("BinaryIO", stream), server.responder)
        finally:
            with server.lock:
                server.connections.discard(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


def _converse(sock: socket.socket, stream: BinaryIO, responder: Responder) -> None:
    keep_alive = True
    while keep_alive:
        request = wire.read_request(stream)
        if request is None:
            return
        answer, fault, now_secs = responder.respond(request)
        keep_alive = request.headers.get("connection", "").lower() != "close"
        keep_alive = wire.write_answer(sock, answer, now_secs=now_secs, keep_alive=keep_alive, fault=fault)


class Listener:
    """The listening socket and the thread that takes connections."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, responder: Responder) -> None:
        self._host = host
        self._context = context
        self._responder = responder
        self._server: _Server | None = _Server((host, port), context, responder)
        self.port: int = self._server.server_address[1]
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to take connections; after a stop on the same port as before."""
        if self._thread is not None:
            return
        if self._server is None:
            self._server = _Server((self._host, self.port), self._context, self._responder)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="duo-simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Closes everything."""
        server, self._server = self._server, None
        if server is None:
            return
        if self._thread is not None:
            server.shutdown()
            self._thread.join()
            self._thread = None
        server.server_close()
        with server.lock:
            connections = list(server.connections)
        for sock in connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
