"""Plain TCP.

Place in the flow: one of the transports; everything but connecting is in ``delivery``, where "delivered" is explained.
"""

from __future__ import annotations

from transforms.destinations.stream.connection import Connection, PlainConnection, Watch, open_socket
from transforms.destinations.stream.delivery import StreamSender
from transforms.destinations.stream.tuning import Tuning
from transforms.settings import Destination


def make(destination: Destination, tuning: Tuning | None = None) -> StreamSender:
    """A sender that connects when the first block is written."""

    def connect(deadline: float, watch: Watch) -> Connection:
        return PlainConnection(open_socket(destination.host, destination.port, deadline, watch))

    return StreamSender(destination, connect, tuning)
