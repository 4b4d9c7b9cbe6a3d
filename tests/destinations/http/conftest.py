"""Senders of a test are closed at its end, and so are stand-ins."""

import pytest

from tests.destinations.http.standins.server import StandIn


@pytest.fixture
def serve():
    """Starts a stand-in of a receiver."""
    served = []

    def start(receiver, **more):
        served.append(StandIn(receiver, **more))
        return served[-1]

    yield start
    for stand_in in served:
        stand_in.stop()


@pytest.fixture
def closing():
    """Closes what it is given."""
    given = []

    def later(sender):
        given.append(sender)
        return sender

    yield later
    for sender in given:
        sender.close(0.0)
