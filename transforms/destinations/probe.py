"""Connects to a destination once and sends nothing: is it there, and is it who it says?

Place in the flow: beside the senders, which belong to the bundles. Asked by the circuit breakers before a stream is read, and
by a local run at its start.
"""

from __future__ import annotations

from transforms.destinations.kinds import make_sender
from transforms.settings import Destination


def connect_once(destination: Destination) -> None:
    """Connects and closes again. May take seconds. Raises FatalError or RetryLater with the cause."""
    sender = make_sender(destination)
    try:
        sender.test_connection()
    finally:
        sender.close(0.0)
