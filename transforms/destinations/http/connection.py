"""One HTTP/1.1 connection that is kept from request to request, and on which no wait is without an end.

Place in the flow: the senders of ``hec`` and ``http`` send requests by it; ``credentials`` fetches tokens by another one.

Contract: one request at a time. Everything that a request waits for (each step to connect, a proxy, the handshake, every byte
of the answer, however slowly it drips) ends by its deadline, and asks ``watch`` at least five times a second, which raises
where the bundle must end. What comes out of a request is an ``Answer``, complete and not longer than ``MOST_ANSWER_BYTES``; or
``Unanswered``, which does not tell whether the receiver has taken the request; or a FatalError that only a person can mend. No
redirect is followed: a token is for the host that it was given for.

It is written on http.client, as the connection to Duo is, because the libraries above it know timeouts for single reads only,
and cannot be woken. TLS and its causes are those of the kind ``tls``.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, NamedTuple

from transforms.destinations.stream import tls_causes
from transforms.destinations.stream.connection import Watch, open_socket, poll, wait_ready
from transforms.destinations.stream.settings import TlsSettings
from transforms.destinations.stream.tls import context_for, secured
from transforms.errors import BundleReplaced, DeliveryTimeout, RetryLater
from transforms.process import descriptors
from transforms.process.proxies import ProxyRefused, ask_proxy, authorization
from transforms.settings import Destination, Format, FormatOptions, Proxy, Tls

MOST_ANSWER_BYTES = 16 * 1024 * 1024
"""Enough for the result of each of 10,000 events; nothing honest is longer."""
_IDLE_SECS = 15.0  # receivers and load balancers end idle connections after 30 to 60 seconds, and not all of them say so


class Unanswered(Exception):
    """No answer came. The text says why, for a person.

    Attributes:
      sent: something of the request was sent, so that the receiver may have taken it.
    """

    def __init__(self, cause: str, *, sent: bool) -> None:
        super().__init__(cause)
        self.sent = sent


class Origin(NamedTuple):
    """Where requests go."""

    secure: bool
    host: str
    port: int

    @property
    def name(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = http.client.HTTPS_PORT if self.secure else http.client.HTTP_PORT
        return host if self.port == usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.name}"


_NOWHERE = Origin(True, "", 0)


@dataclass(frozen=True, slots=True)
class Way:
    """How an origin is reached.

    Attributes:
      connect_secs: longest time to connect once. answer_secs: longest time for a request and its answer.
    """

    tls: Tls = field(default_factory=Tls)
    proxy: Proxy | None = None
    connect_secs: float = 10.0
    answer_secs: float = 60.0


class Request(NamedTuple):
    """``target`` is path and query; header values are ASCII without line breaks."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class Answer(NamedTuple):
    """What the receiver said."""

    status: int
    headers: Message
    body: bytes


class HttpConnection:
    """See the module.

    Attributes:
      opened: how many connections were made so far.
    """

    def __init__(self, name: str, origin: Callable[[], Origin], way: Way) -> None:
        self.opened = 0
        self._name = name
        self._find_origin = origin  # asked for each connection: it may be a secret, which can be changed
        self._origin = _NOWHERE
        self._way = way
        self._connection: http.client.HTTPConnection | None = None
        self._socket: _WatchedSocket | None = None
        self._used_at = 0.0

    def call(self, request: Request, watch: Watch) -> Answer:
        """Sends a request and reads its answer. Raises Unanswered, FatalError, and what ``watch`` raises."""
        self.tidy()
        try:
            connection, sock = self._connected(watch)
            sock.start(time.monotonic() + self._way.answer_secs, watch)
            answer = self._exchange(connection, sock, request)
        except BaseException:
            self.close()  # the rest of an answer must not be taken for that of the next request
            raise
        self._used_at = time.monotonic()
        return answer

    def connect(self, watch: Watch) -> None:
        """Only connects. Raises as ``call``."""
        try:
            self._connected(watch)
        except BaseException:
            self.close()
            raise
        self._used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now. May be asked by any thread."""
        return self._socket is not None

    def tidy(self) -> None:
        """Closes a connection that is old, that its peer has closed, or on which something came that nobody asked for."""
        if self._socket is not None and (time.monotonic() - self._used_at > _IDLE_SECS or not self._socket.quiet):
            self.close()

    def close(self) -> None:
        """The next request opens another connection."""
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.shut()
        self._connection = self._socket = None

    # ---- one request ----

    def _exchange(self, connection: http.client.HTTPConnection, sock: _WatchedSocket, request: Request) -> Answer:
        whole = False
        try:
            with contextlib.suppress(ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                # One who refuses a request may answer before all of it is sent, and close.
                connection.request(request.method, self._target(request.target), request.body, self._headers(request))
                whole = True
            response = connection.getresponse()
            body = _read_body(response)
        except ssl.SSLError as error:
            bad = tls_causes.alert(self._as_tls_destination(), error)
            raise bad or Unanswered(f"TLS failed: {tls_causes.reason_of(error)}", sent=sock.sent) from error
        except TimeoutError as error:
            raise Unanswered(f"no answer within {self._way.answer_secs:g} s", sent=sock.sent) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(_cause(error), sent=sock.sent) from error
        if response.status < 200:
            raise Unanswered(f"an answer {response.status}, which nobody asked for", sent=sock.sent)
        if not whole and response.status < 300:
            raise Unanswered(f"it answered {response.status} before it had the whole request", sent=sock.sent)
        if response.will_close:
            self.close()
        return Answer(response.status, response.headers, body)

    def _target(self, target: str) -> str:
        """Through a proxy in plain text, the whole address."""
        return f"{self._origin}{target}" if self._way.proxy is not None and not self._origin.secure else target

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Host": self._origin.name, **request.headers}
        if request.body:
            headers["Content-Length"] = str(len(request.body))
        proxy = self._way.proxy
        if proxy is not None and not self._origin.secure and (credentials := authorization(proxy)) is not None:
            headers["Proxy-Authorization"] = credentials
        return headers

    # ---- connecting ----

    def _connected(self, watch: Watch) -> tuple[http.client.HTTPConnection, _WatchedSocket]:
        if self._connection is None or self._socket is None:
            try:
                sock = self._open(time.monotonic() + self._way.connect_secs, watch)
            except (DeliveryTimeout, BundleReplaced):
                raise
            except (OSError, RetryLater) as error:
                raise Unanswered(_cause(error), sent=False) from error
            self._socket = _WatchedSocket(sock)
            self._connection = http.client.HTTPConnection(self._origin.host, self._origin.port)
            self._connection.auto_open = 0
            self._connection.response_class = _FinalResponse
            self._connection.sock = self._socket
            self.opened += 1
        return self._connection, self._socket

    def _open(self, deadline: float, watch: Watch) -> socket.socket:
        self._origin = self._find_origin()
        context = context_for(self._way.tls, self._name) if self._origin.secure else None
        proxy = self._way.proxy
        place = (proxy.host, proxy.port) if proxy is not None else (self._origin.host, self._origin.port)
        sock = open_socket(*place, deadline, watch)
        if context is None:
            return sock
        if proxy is not None:
            try:
                ask_proxy(sock, proxy, self._origin.host, self._origin.port, deadline)
            except BaseException:
                sock.close()
                raise
            sock.setblocking(False)
        return secured(sock, self._as_tls_destination(), context, deadline, watch)

    def _as_tls_destination(self) -> Destination[TlsSettings]:
        """The same place as the kind ``tls`` would have it, whose handshake and causes these are."""
        there = TlsSettings(self._origin.host, self._origin.port, tls=self._way.tls)
        return Destination(self._name, there, Format(_NoFormat()))


class _WatchedSocket:
    """What http.client takes for a socket: one whose every wait is watched, and ends by a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sent = False  # something of the present request
        self._sock = sock
        self._deadline = 0.0
        self._watch: Watch = _nothing

    def start(self, deadline: float, watch: Watch) -> None:
        """A request begins."""
        self.sent = False
        self._deadline = deadline
        self._watch = watch

    @property
    def quiet(self) -> bool:
        """Open, and nothing came."""
        if isinstance(self._sock, ssl.SSLSocket):
            # A session ticket comes whenever the receiver likes, and is no word of HTTP.
            try:
                self._sock.recv(1)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return True
            except OSError:
                return False
            return False
        return not poll(self._sock, select.POLLIN, 0.0)

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            try:
                taken = self._sock.send(view)
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait_ready(self._sock, select.POLLOUT, self._deadline, self._watch)
            except ssl.SSLWantReadError:
                wait_ready(self._sock, select.POLLIN, self._deadline, self._watch)
            else:
                self.sent = True
                view = view[taken:]

    def receive_into(self, buffer: Any) -> int:
        while True:
            try:
                return self._sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                wait_ready(self._sock, select.POLLIN, self._deadline, self._watch)
            except ssl.SSLWantWriteError:
                wait_ready(self._sock, select.POLLOUT, self._deadline, self._watch)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """http.client closes before the last answer is read; ``shut`` does it in earnest."""

    def shut(self) -> None:
        self._sock.close()


class _Incoming(io.RawIOBase):
    """What comes in during one answer; not more of it than an answer may have."""

    def __init__(self, sock: _WatchedSocket) -> None:
        self._sock = sock
        self._left_bytes = MOST_ANSWER_BYTES + 1024 * 1024  # head, marks between pieces, trailers

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._sock.receive_into(buffer)
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise http.client.HTTPException(f"an answer over {MOST_ANSWER_BYTES} bytes")
        return count


class _FinalResponse(http.client.HTTPResponse):
    """The answer behind those that only say that one will come; http.client takes 102 and 103 for the last."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # what it calls, also for 100
            if status not in (102, 103):
                return version, status, reason
            http.client.parse_headers(self.fp)


def _read_body(response: http.client.HTTPResponse) -> bytes:
    body = response.read(MOST_ANSWER_BYTES + 1)
    if len(body) > MOST_ANSWER_BYTES:
        raise http.client.HTTPException(f"an answer over {MOST_ANSWER_BYTES} bytes")
    if response.length:  # of a part, http.client does not say that it is one
        raise http.client.IncompleteRead(b"", response.length)
    return body


def _cause(error: Exception) -> str:
    if descriptors.ran_out(error):
        return str(descriptors.shortage("a connection to a destination")).rstrip(".")
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut short"
    if isinstance(error, http.client.RemoteDisconnected) or (isinstance(error, ConnectionError) and not error.strerror):
        return "the receiver closed the connection without an answer"
    if isinstance(error, http.client.BadStatusLine):
        return "what answered does not speak HTTP/1.1"  # its text would quote what came
    if isinstance(error, (http.client.HTTPException, ProxyRefused, RetryLater)):
        return str(error).rstrip(".") or type(error).__name__
    if isinstance(error, TimeoutError):
        return "it cannot be connected to in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")


@dataclass(frozen=True, slots=True)
class _NoFormat(FormatOptions):
    """Connections know nothing of formats."""


def _nothing() -> None:
    """Nobody waits."""
