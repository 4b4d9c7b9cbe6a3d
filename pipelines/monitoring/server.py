"""The endpoint of a local run: a socket on loopback at which the page, the report, metrics and health checks can be asked for.

Place in the flow: the supervisor starts it with the routes of ``routes`` and closes it at the end. What is answered is made by
``observe`` when somebody asks.

Contract:
  * One thread waits for connections and wakes up for nothing else. A connection is answered in a thread of its own, at most
    ``MOST_AT_ONCE`` at a time, and streams (``tap``) in ``MOST_STREAMS`` more; whoever comes beyond that is told 503 at once.
    A request has ten seconds, an answer twenty: nobody who is slow keeps a thread.
  * Only who names this machine in the Host header is answered, so that a page from elsewhere cannot ask by a name of its own
    that leads here. With a token, whoever does not show it gets 401; of the health checks the status alone.
  * Nothing here stops a run: no port, no thread, no directory for the note of the place: each is told and the run goes on.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from pipelines.monitoring import exchange
from pipelines.monitoring.exchange import Answer, BadRequest, Request
from pipelines.monitoring.place import remove_place, write_place
from transforms.config_keys import is_loopback
from transforms.errors import DuoLogSyncError
from transforms.notices import program
from transforms.notices.notice import tell
from transforms.process.threads import NO_THREAD, started
from transforms.settings import MONITORING_PORT, Monitoring

_LOGGER = logging.getLogger("duologsync.monitoring")
MOST_AT_ONCE = 8  # a browser opens connections that it does not use yet
MOST_STREAMS = 2
_BACKLOG = 16
_ASKS = (("WWW-Authenticate", 'Basic realm="duologsync", charset="UTF-8"'), ("WWW-Authenticate", "Bearer"))


@dataclass(frozen=True)
class Route:
    """What is answered at one path.

    Attributes:
      answer: makes the answer.
      open_status: without the token it is answered, too, but its status only.
      streams: its answer has no end of its own.
    """

    answer: Callable[[Request], Answer]
    open_status: bool = False
    streams: bool = False


class Server:
    """See the module. Made by ``start``."""

    def __init__(self, listener: socket.socket, monitoring: Monitoring, token: str | None, routes: Mapping[str, Route]) -> None:
        self._listener = listener
        self._host = monitoring.host
        self._token = token
        self._routes = routes
        self._at_once = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._closed = False
        self._directory: str | None = None
        port = listener.getsockname()[1]
        self.url = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}/"

    def serve(self) -> None:
        """The thread's work: until the socket is closed."""
        while not self._closed:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._closed or self._listener.fileno() < 0:
                    return
                threading.Event().wait(1.0)  # no descriptor is left, which passes
                continue
            if not self._at_once.acquire(blocking=False):
                _refuse(sock)
            elif started(self._answer, "monitoring answer", sock) is None:
                self._at_once.release()
                _refuse(sock)

    def note_place(self, directory: str, key: str) -> None:
        """Writes down where it is, for the commands."""
        try:
            write_place(directory, self.url, key)
            self._directory = directory
        except OSError as error:
            tell(
                _LOGGER,
                program.PLACE_NOT_NOTED,
                "Where the status page is cannot be noted in %s: %s.",
                directory,
                error.strerror,
            )

    def close(self) -> None:
        """Answers nobody any more. Waits for nobody."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes up who waits in accept
        self._listener.close()
        if self._directory is not None:
            remove_place(self._directory)

    # --- one connection ----------------------------------------------------------------------------------------------

    def _answer(self, sock: socket.socket) -> None:
        held = self._at_once
        try:
            request, answer, streams = self._answer_to(sock)
            if streams:
                if self._streams.acquire(blocking=False):
                    held.release()
                    held = self._streams
                else:
                    answer = exchange.text(HTTPStatus.SERVICE_UNAVAILABLE, "too many are watching already")
            exchange.write_answer(sock, answer, head_only=request is not None and request.method == "HEAD")
        except OSError:
            pass  # whoever asked is gone, or too slow
        except Exception:  # an answer that fails is no reason to take a slot for ever
            tell(_LOGGER, program.PAGE_FAILED, "A question to the status page could not be answered.", exc_info=True)
        finally:
            exchange.hang_up(sock)
            held.release()

    def _answer_to(self, sock: socket.socket) -> tuple[Request | None, Answer, bool]:
        try:
            request = exchange.read_request(sock)
        except BadRequest as bad:
            allow = (("Allow", "GET, HEAD"),) if bad.status == HTTPStatus.METHOD_NOT_ALLOWED else ()
            return None, exchange.text(bad.status, HTTPStatus(bad.status).phrase.lower(), allow), False
        if not self._is_for_us(request):
            return request, exchange.text(HTTPStatus.MISDIRECTED_REQUEST, "this is not that host"), False
        route = self._routes.get(request.path)
        known = self._knows_token(request)
        if not known and (route is None or not route.open_status):
            return request, exchange.text(HTTPStatus.UNAUTHORIZED, "a token is needed", _ASKS), False
        if route is None:
            return request, exchange.text(HTTPStatus.NOT_FOUND, "there is nothing here"), False
        answer = route.answer(request)
        if not known:
            answer = exchange.text(answer.status, "ok" if answer.status == HTTPStatus.OK else "not ok")
        return request, answer, route.streams and not isinstance(answer.body, bytes)

    def _is_for_us(self, request: Request) -> bool:
        """By the Host header. Where it listens for others, it may have any name, and the token says who may ask."""
        if not is_loopback(self._host):
            return True
        return is_loopback(_host_of(request.header("Host")))

    def _knows_token(self, request: Request) -> bool:
        if self._token is None:
            return True
        scheme, _, shown = request.header("Authorization").partition(" ")
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown.strip(), validate=True).decode("utf-8").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), self._token.encode())


def start(monitoring: Monitoring, routes: Mapping[str, Route], directory: str, key: str = "") -> Server | None:
    """Listens and answers from now on; None where that cannot be, which is told.

    Args:
      directory: the checkpoint directory, where it is noted which port it has become.
      key: noted there, too: what ``tap`` shows.
    """
    here = "://" not in directory
    if here:
        remove_place(directory)  # of a run that was killed
    if not monitoring.enabled:
        return None
    try:
        token = monitoring.token.resolve() if monitoring.token is not None else None
    except DuoLogSyncError as error:
        tell(_LOGGER, program.NO_STATUS_PAGE, "There is no status page and there are no metrics: %s", error)
        return None
    listener = _listener(monitoring)
    if listener is None:
        return None
    server = Server(listener, monitoring, token, routes)
    if started(server.serve, "monitoring") is None:
        tell(_LOGGER, program.NO_STATUS_PAGE, "There is no status page and there are no metrics: %s.", NO_THREAD)
        server.close()
        return None
    if here:
        server.note_place(directory, key)
    _LOGGER.info("How it is doing is shown at %s", server.url)
    return server


def _listener(monitoring: Monitoring) -> socket.socket | None:
    """At the port that is wanted, else at a free one: two programs on one machine must not get into each other's way."""
    wanted = MONITORING_PORT if monitoring.port is None else monitoring.port
    try:
        return _listening(monitoring.host, wanted)
    except OSError as error:
        taken = error
    try:
        listener = _listening(monitoring.host, 0)
    except OSError as error:
        tell(
            _LOGGER, program.NO_STATUS_PAGE,
            "There is no status page and there are no metrics, because nothing can listen at %s: %s. The run goes on.",
            monitoring.host, error.strerror or error,
        )  # fmt: skip
        return None
    text, reason = "Port %d of %s cannot be had (%s); another one is used.", taken.strerror or taken
    if monitoring.port is None:  # nobody has asked for that one
        _LOGGER.info(text, wanted, monitoring.host, reason)
    else:
        tell(_LOGGER, program.ANOTHER_PORT, text, wanted, monitoring.host, reason)
    return listener


def _listening(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of an earlier run, closed connections are still there
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _refuse(sock: socket.socket) -> None:
    """Says that it is busy, without waiting."""
    try:
        sock.setblocking(False)
        sock.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        pass
    finally:
        sock.close()


def _host_of(header: str) -> str:
    """The host without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
