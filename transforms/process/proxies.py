"""How an HTTP proxy is asked for a way through: CONNECT, with user and password where it wants them.

Place in the flow: connections to Duo, and to destinations over HTTPS. The TLS handshake that follows is theirs.

Contract: every wait ends at the deadline with TimeoutError, and an answer without end is refused. No text holds the password.
"""

from __future__ import annotations

import base64
import socket
import time

from transforms.settings import Proxy

_MOST_HEAD_BYTES = 256 * 1024


class ProxyRefused(OSError):
    """A proxy does not connect; the text says why and what to do."""


def authorization(proxy: Proxy) -> str | None:
    """The value of Proxy-Authorization; None where no user is configured. Raises as ``SecretRef.resolve``."""
    if not proxy.user:
        return None
    password = proxy.password.resolve() if proxy.password else ""
    return "Basic " + base64.b64encode(f"{proxy.user}:{password}".encode()).decode("ascii")


def ask_proxy(sock: socket.socket, proxy: Proxy, host: str, port: int, deadline: float) -> None:
    """Asks for a connection to a host. Sets the socket's timeout. Raises ProxyRefused and OSError."""
    there = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {there} HTTP/1.1", f"Host: {there}"]
    if (credentials := authorization(proxy)) is not None:
        lines.append(f"Proxy-Authorization: {credentials}")
    sock.settimeout(left_secs(deadline))
    sock.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1"))
    head = _head_of_answer(sock, deadline)
    version, _, said = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1."):
        raise ProxyRefused("it does not answer like an HTTP proxy")
    if said[:3] == "407":
        given = f"does not take the password of its user '{proxy.user}'" if proxy.user else "wants a user and a password"
        raise ProxyRefused(f"the proxy {given} (407); set them with the proxy in the configuration")
    if not said.startswith("2"):
        raise ProxyRefused(f"the proxy answered {said.strip()[:100]!r} instead of connecting")


def left_secs(deadline: float) -> float:
    """What is left until a monotonic deadline. Raises TimeoutError where that is nothing."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the call's time is over")
    return left


def _head_of_answer(sock: socket.socket, deadline: float) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        sock.settimeout(left_secs(deadline))
        received = sock.recv(4096)
        head += received
        if not received:
            raise ProxyRefused("the proxy closed the connection without an answer")
        if len(head) > _MOST_HEAD_BYTES:
            raise ProxyRefused("the proxy's answer has no end")
    return head
