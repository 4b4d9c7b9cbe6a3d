"""Ports for servers that tests start, and start again.

Contract: ``free_ports`` are below those that the system gives to outgoing connections: a process that is started again must
find its own free.
"""

import random
import socket
from contextlib import ExitStack

_PORTS = (15_000, 32_000)


def free_ports(count: int) -> list[int]:
    """So many different ports of loopback that nobody uses now, neither for connections nor for datagrams."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(*_PORTS)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _is_free(port: int) -> bool:
    with ExitStack() as stack:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
