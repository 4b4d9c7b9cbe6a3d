"""Connections to Duo: each step of a call ends at the call's deadline, and all clients of a process share them.

Place in the flow: below ``client``, which takes a connection for one call and gives it back.

Contract of ``DuoConnection``: resolving, connecting, a proxy's answer, the TLS handshake, sending, and every byte of an answer
(also headers, 1xx answers, trailers) end with TimeoutError at ``deadline``, however slowly they drip, and an answer's head is
limited in size. http.client has a time limit per read only, so its reads go through ``_Incoming``.

Contract of ``Connections``: thread-safe. At most ``most`` are open at a time, idle ones included; who comes first is served
first, and an idle connection makes way. An idle one is closed when it is older than ``IDLE_SECS``, when its peer has closed it
or sent what nobody asked for, and when its client has nothing to ask for a while. Where the system has no descriptor left, idle
ones are closed and fewer are opened for a minute.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import select
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from transforms.duo.client.resolver import resolve
from transforms.errors import RetryLater
from transforms.process import descriptors
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.lifetime import Stage, per_process
from transforms.process.proxies import ask_proxy, left_secs
from transforms.settings import Proxy

# Duo closes idle connections after about a minute: a connection this old is not worth the attempt.
IDLE_SECS = 30.0
_MOST_HEAD_BYTES = 256 * 1024
_FEWER_FOR_SECS = 60.0
_TIDY_SECS = 1.0
_SPARE = 4  # so many connections fewer than there were when descriptors ran out


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads. Connections to the same place are alike."""

    host: str
    port: int
    proxy: Proxy | None
    tls: ssl.SSLContext

    def __str__(self) -> str:
        through = f" (through the proxy {self.proxy.host}:{self.proxy.port})" if self.proxy is not None else ""
        return f"{self.host}:{self.port}{through}"


class _Incoming(io.RawIOBase):
    """What comes in on a socket, until a deadline, and at most so many bytes."""

    def __init__(self, sock: socket.socket, deadline: float, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.ended = False  # from then on nothing is read from the socket
        self._sock = sock
        # Keeps the socket open for the rest of an answer after which the connection is closed.
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return 0
        self._sock.settimeout(left_secs(self._deadline))
        count: int | None = self._file.readinto(buffer)
        self._bytes += count or 0
        if self._bytes > self.most_bytes:
            raise http.client.HTTPException(f"an answer over the limit of {self.most_bytes} bytes")
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Answer(io.BufferedReader):
    """The same, buffered; knows at its end whether more was sent than belongs to the answer."""

    left_over = False

    def close(self) -> None:
        if not self.closed:
            self.raw.ended = True  # type: ignore[attr-defined] # of _Incoming
            self.left_over = bool(self.peek(1))
        super().close()


class DuoConnection(http.client.HTTPConnection):
    """One connection; see the module. ``deadline`` is monotonic and set anew for each call."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, place: Place) -> None:
        super().__init__(place.host, place.port)
        self.place = place
        self.deadline = 0.0
        self.used_at = 0.0
        self._answer: _Answer | None = None
        self.response_class = self._new_response  # type: ignore[assignment] # called by http.client like the class

    def connect(self) -> None:
        """Connects, through the proxy where there is one. Raises OSError, and TimeoutError at the deadline."""
        proxy = self.place.proxy
        sock = _open_socket(*((proxy.host, proxy.port) if proxy else (self.place.host, self.place.port)), self.deadline)
        try:
            if proxy is not None:
                ask_proxy(sock, proxy, self.place.host, self.place.port, self.deadline)
            sock.settimeout(left_secs(self.deadline))
            self.sock = self.place.tls.wrap_socket(sock, server_hostname=self.place.host)
        except BaseException:
            sock.close()
            raise

    def call(
        self, method: str, uri: str, body: str | None, headers: dict[bytes, bytes], deadline: float
    ) -> http.client.HTTPResponse:
        """Sends a request and gives the head of its answer; the body is read under the same deadline."""
        self.deadline = deadline
        if self.sock is None:
            self.connect()
        self.sock.settimeout(left_secs(deadline))
        self.request(method, uri, body, headers)  # type: ignore[arg-type] # bytes are fine
        return self.getresponse()

    def allow_body(self, most_bytes: int) -> None:
        """From now on so many bytes may come."""
        assert self._answer is not None
        self._answer.raw.most_bytes = most_bytes  # type: ignore[attr-defined] # of _Incoming

    @property
    def in_step(self) -> bool:
        """The last answer was read to its end and nothing came behind it, so that the next answer will be the next call's."""
        return self.sock is not None and self._answer is not None and self._answer.closed and not self._answer.left_over

    @property
    def quiet(self) -> bool:
        """Idle and open: nothing came, and no end."""
        if self.sock is None or (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
            return False
        poller = select.poll()
        poller.register(self.sock.fileno(), select.POLLIN)
        return not poller.poll(0)

    def _new_response(self, sock: socket.socket, *_debug: int, method: str | None = None) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(sock, method=method)
        response.fp.close()
        self._answer = response.fp = _Answer(_Incoming(sock, self.deadline, _MOST_HEAD_BYTES))
        return response


class Connections:
    """See the module.

    Attributes:
      most: how many may be open; None reckons it from the process's limit of descriptors, when the first one is taken.
    """

    def __init__(self, most: int | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.most = most
        self.ran_out = 0  # how often no descriptor could be had
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[DuoConnection] = []  # the one that was used last is at the end
        self._lent = 0
        self._waiting: deque[threading.Event] = deque()
        self._tidied_at = float("-inf")
        self._fewer: tuple[float, int] | None = None  # until when, and how many

    @contextlib.contextmanager
    def lent(self, place: Place, wait_secs: float) -> Iterator[DuoConnection]:
        """A connection for one call: an idle one, else a new one that is not connected. It is kept where it is in step.

        Raises RetryLater where none was free in time.
        """
        connection = self._take(place, wait_secs)
        keep = False
        try:
            yield connection
            keep = connection.in_step
        finally:
            self._give_back(connection, keep=keep)

    def idle_at(self, place: Place) -> list[DuoConnection]:
        """The idle connections to a place."""
        with self._lock:
            return [connection for connection in self._idle if connection.place == place]

    def close_idle(self, place: Place | None = None) -> None:
        """Closes those of a place that are idle, or all."""
        self._drop(lambda connection: place is None or connection.place == place)

    def tidy(self) -> None:
        """Closes those that are old, and those that their peer has closed. Cheap: looks once a second at most."""
        now = self._clock.monotonic_secs()
        if now - self._tidied_at >= _TIDY_SECS:
            self._tidied_at = now
            self._drop(self._stale)

    def descriptors_ran_out(self) -> None:
        """Closes what is idle, and lets fewer be open for a while."""
        with self._lock:
            self.ran_out += 1
            self._fewer = (self._clock.monotonic_secs() + _FEWER_FOR_SECS, max(1, self._lent - _SPARE))
        self.close_idle()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _take(self, place: Place, wait_secs: float) -> DuoConnection:
        granted = threading.Event()
        with self._lock:
            self._waiting.append(granted)
            self._call_first()
        if not granted.wait(wait_secs):
            with self._lock:
                if not granted.is_set():  # else it was granted at the last moment
                    self._waiting.remove(granted)
                    raise RetryLater(
                        f"None of the {self._room()} connections to Duo that this process may have was free within "
                        f"{wait_secs:g} s.",
                        kind="connections",
                    )
        while (kept := self._kept(place)) is not None:
            if not self._stale(kept):
                return kept
            kept.close()
        return DuoConnection(place)

    def _kept(self, place: Place) -> DuoConnection | None:
        """An idle connection to the place, taken out; without one, the oldest of all makes way where it must."""
        makes_way = None
        with self._lock:  # it counts as lent already
            kept = next((each for each in reversed(self._idle) if each.place == place), None)
            if kept is not None:
                self._idle.remove(kept)
            elif self._idle and self._lent + len(self._idle) > self._room():
                makes_way = self._idle.pop(0)
        if makes_way is not None:
            makes_way.close()
        return kept

    def _give_back(self, connection: DuoConnection, *, keep: bool) -> None:
        if not keep:
            connection.close()
        with self._lock:
            self._lent -= 1
            if keep:
                connection.used_at = self._clock.monotonic_secs()
                self._idle.append(connection)
            self._call_first()
        if keep and self._lent + len(self._idle) > self._room():
            self._drop(lambda each: each is connection)

    def _room(self) -> int:
        if self.most is None:
            self.most = descriptors.left_for_duo()
        if self._fewer is not None:
            until, fewer = self._fewer
            if self._clock.monotonic_secs() < until:
                return min(self.most, fewer)
            self._fewer = None
        return self.most

    def _call_first(self) -> None:
        """The caller holds the lock."""
        while self._waiting and self._lent < self._room():
            self._lent += 1
            self._waiting.popleft().set()

    def _stale(self, connection: DuoConnection) -> bool:
        return self._clock.monotonic_secs() - connection.used_at > IDLE_SECS or not connection.quiet

    def _drop(self, unwanted: Callable[[DuoConnection], bool]) -> None:
        with self._lock:
            dropped = [connection for connection in self._idle if unwanted(connection)]
            self._idle = [connection for connection in self._idle if connection not in dropped]
        for connection in dropped:
            connection.close()


CONNECTIONS = per_process("connections to Duo", Connections, close=Connections.close_idle, stage=Stage.CONNECTIONS)


# --- one connection ----------------------------------------------------------------------------------------------------


def _open_socket(host: str, port: int, deadline: float) -> socket.socket:
    """A connected socket; an address that does not answer leaves time for those after it."""
    addresses = resolve(host, port, left_secs(deadline))
    failure: OSError = OSError(f"{host} has no address")
    for position, (family, _, _, _, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(left_secs(deadline) / (len(addresses) - position))
            sock.connect(address)
            # Small requests should not wait for the last answer's acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure
