"""Plain TCP.

Place in the flow: one of the kinds; everything but connecting is in ``delivery``, where "delivered" is explained.
"""

from __future__ import annotations

from transforms.destinations.stream.connection import Connection, PlainConnection, Watch, open_socket
from transforms.destinations.stream.delivery import StreamSender
from transforms.destinations.stream.settings import TcpSettings
from transforms.destinations.stream.tuning import Tuning
from transforms.settings import Destination


def make(destination: Destination[TcpSettings], tuning: Tuning | None = None) -> StreamSender:
    """A sender that connects when the first block is written."""

    def connect(deadline: float, watch: Watch) -> Connection:
        return PlainConnection(open_socket(destination.settings.host, destination.settings.port, deadline, watch))

    return StreamSender(destination, connect, tuning)
