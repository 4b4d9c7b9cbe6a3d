"""Destinations: how the messages of a bundle reach a SIEM, and what "delivered" honestly means for each transport.

Place in the flow: format → **destination**. A new kind is one module with a ``make(settings.Destination) -> Sender``, one test
folder and one line in ``TRANSPORTS``.

Contract: see ``transforms.destinations.sender``, whose names are here, too.
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.destinations.sender import Confirmation, Rejection, Sender
from transforms.destinations.stream.tcp import make as make_tcp
from transforms.destinations.stream.tls import make as make_tls
from transforms.destinations.udp.sender import make as make_udp
from transforms.settings import Destination

__all__ = ["TRANSPORTS", "Confirmation", "Rejection", "Sender"]

TRANSPORTS: dict[str, Callable[[Destination], Sender]] = {
    "tcp": make_tcp,
    "tls": make_tls,
    "udp": make_udp,
}
