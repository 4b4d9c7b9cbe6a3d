"""Whether a UDP port is refused, as far as that can be known.

Place in the flow: ``check`` asks; senders find out by what they send.

Contract: one empty datagram is sent, which is no message to any receiver of syslog. Whoever drops it on the way, a firewall
say, looks like one who takes it.
"""

from __future__ import annotations

import select
import socket

from transforms.destinations.udp.settings import UdpSettings

_ANSWER_SECS = 1.0


def refusal(settings: UdpSettings, wait_secs: float = _ANSWER_SECS) -> str:
    """Why nobody gets what is sent there; empty where nobody says so within that time."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.connect(address)
            sock.send(b"")
            readable, _, _ = select.select([sock], [], [], wait_secs)
            if readable:
                sock.recv(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""
