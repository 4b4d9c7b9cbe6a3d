"""A little HTTP: one request read, one answer written, then the connection is closed.

Place in the flow: part of ``server``. The library's own server reads a request for as long as single bytes keep coming; here a
whole request has a time limit, because whoever can reach the port must not be able to hold a thread.

Contract: GET and HEAD only. No body is read. What is no request, is too long or too slow raises ``BadRequest`` with the status
to answer by. A time limit is for all of a request, and for all of an answer; of an answer that is a stream, for each part.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus

REQUEST_SECS = 10.0
ANSWER_SECS = 20.0
_MOST_BYTES = 16_384
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,4000}) HTTP/1\.[01]")

COMMON_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)
NOTHING_ALLOWED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class BadRequest(Exception):
    """What came is not answered but by a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Request:
    """What somebody asks for. ``path`` is without its query, which is in ``query``; ``headers`` find names in any case."""

    method: str
    path: str
    query: str
    headers: Message

    def header(self, name: str) -> str:
        """The first header of a name; empty where there is none."""
        return str(self.headers.get(name, ""))


@dataclass(frozen=True)
class Answer:
    """What is answered. ``body``: all of it, or parts that are sent as they come."""

    status: int
    content_type: str
    body: bytes | Iterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()
    policy: str = field(default=NOTHING_ALLOWED)


def text(status: int, body: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer of one line."""
    return Answer(status, "text/plain; charset=utf-8", f"{body}\n".encode(), headers)


def read_request(sock: socket.socket) -> Request:
    """The request that comes. Raises BadRequest, and OSError where the connection is gone."""
    head = _read_head(sock, time.monotonic() + REQUEST_SECS)
    line, _, rest = head.partition(b"\r\n")
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadRequest(HTTPStatus.BAD_REQUEST)
    if found[1] not in (b"GET", b"HEAD"):
        raise BadRequest(HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        headers = http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException:
        raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    path, _, query = found[2].decode("ascii").partition("?")
    return Request(found[1].decode("ascii"), path, query, headers)


def write_answer(sock: socket.socket, answer: Answer, *, head_only: bool = False) -> None:
    """Sends an answer. Raises OSError where the connection is gone or too slow."""
    sock.settimeout(ANSWER_SECS)
    lines = [f"HTTP/1.0 {answer.status} {http.client.responses.get(answer.status, '')}", f"Content-Type: {answer.content_type}"]
    if isinstance(answer.body, bytes):
        lines.append(f"Content-Length: {len(answer.body)}")
    lines += [f"{name}: {value}" for name, value in (*COMMON_HEADERS, *answer.headers)]
    lines += [f"Content-Security-Policy: {answer.policy}", "Connection: close"]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    body: Iterable[bytes] = (answer.body,) if isinstance(answer.body, bytes) else answer.body
    sock.sendall(head)
    if not head_only:
        for part in body:
            sock.sendall(part)


def hang_up(sock: socket.socket) -> None:
    """Ends a connection so that what was sent arrives, even where not all of the request was read."""
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(1.0)
        sock.recv(_MOST_BYTES)
    except OSError:
        pass
    finally:
        sock.close()


def _read_head(sock: socket.socket, deadline: float) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        left_secs = deadline - time.monotonic()
        if left_secs <= 0:
            raise BadRequest(HTTPStatus.REQUEST_TIMEOUT)
        sock.settimeout(left_secs)
        try:
            part = sock.recv(4096)
        except TimeoutError:
            raise BadRequest(HTTPStatus.REQUEST_TIMEOUT) from None
        if not part:
            raise BadRequest(HTTPStatus.BAD_REQUEST)
        head += part
        if len(head) > _MOST_BYTES:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return head
