"""Reads HTTP/1.1 requests from a connection and writes answers to it, whole or broken on purpose.

Place in the flow: between a connection's thread in ``server`` and the code that answers.
Contract: one ``sendall`` per good answer; a request that is not HTTP raises ``ValueError``; sizes are bounded.
"""

from __future__ import annotations

import contextlib
import email.utils
import socket
import struct
import urllib.parse
from typing import BinaryIO

from pipelines.demo.simulator.answers import Answer
from pipelines.demo.simulator.faults import Fault
from pipelines.demo.simulator.signatures import Request

_MAX_LINE_BYTES = 65_536
_MAX_HEADERS = 100
_MAX_BODY_BYTES = 64 * 1024 * 1024
_SLOW_PIECES = 20


def read_request(stream: BinaryIO) -> Request | None:
    """The next request; None when the client has closed the connection."""
    line = stream.readline(_MAX_LINE_BYTES)
    if not line.strip():
        return None
    method, target, version = line.decode("latin-1").split()
    if not version.startswith("HTTP/1.") or not line.endswith(b"\n"):
        raise ValueError("not an HTTP/1 request")
    headers = _read_headers(stream)
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= _MAX_BODY_BYTES:
        raise ValueError("unreasonable Content-Length")
    body = stream.read(size) if size else b""
    # Inside a proxy's tunnel duo_client sends the absolute form, http://host/path.
    if "://" in target.partition("?")[0]:
        parts = urllib.parse.urlsplit(target)
        target = f"{parts.path}?{parts.query}"
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body)


def _read_headers(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = stream.readline(_MAX_LINE_BYTES)
        if line in {b"\r\n", b"\n", b""}:
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("a header without a colon")
        headers[name.strip().lower()] = value.strip()
    raise ValueError("too many headers")


def write_answer(sock: socket.socket, answer: Answer, *, now_secs: float, keep_alive: bool, fault: Fault | None) -> bool:
    """Writes an answer, in the way that the fault wants; returns whether the connection can be used again."""
    if fault is not None and fault.kind == "malformed_json":
        answer.body = answer.body[: max(1, len(answer.body) * 2 // 3)]
    head = answer.head(email.utils.formatdate(now_secs, usegmt=True), keep_alive=keep_alive)
    if fault is None or fault.kind not in _BROKEN:
        sock.sendall(head + answer.body)
        return keep_alive
    if fault.kind == "reset":
        reset(sock)
    elif fault.kind == "hang":
        fault.released.wait(fault.secs)
    elif fault.kind == "slow":
        _drip(sock, head + answer.body, fault)
        return keep_alive
    else:
        sock.sendall(head + answer.body[: len(answer.body) // 2])
        if fault.kind == "reset_mid_body":
            reset(sock)
    return False


_BROKEN = {"reset", "reset_mid_body", "cut_body", "hang", "slow"}


def _drip(sock: socket.socket, data: bytes, fault: Fault) -> None:
    step = max(1, -(-len(data) // _SLOW_PIECES))
    for begin in range(0, len(data), step):
        sock.sendall(data[begin : begin + step])
        if fault.released.wait((fault.secs or 1.0) / _SLOW_PIECES):
            step = len(data)


def reset(sock: socket.socket) -> None:
    """Closes a connection with RST: lingering for zero seconds throws away what was not sent."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
