"""UDP into a real rsyslog that nobody tuned: its socket has the system's default buffer."""

import threading

import pytest

from tests.destinations.peers import destination, page
from tests.servers.harness import wait_until
from tests.servers.rsyslog import Listener, Rsyslog
from transforms.destinations.udp import sender as udp

pytestmark = pytest.mark.servers
EVENTS = 20_000
STREAMS = 4


def test_twenty_thousand_events_of_four_streams_arrive_without_a_loss(tmp_path):
    with Rsyslog(tmp_path, [Listener("datagrams", "udp", default_buffer=True)]) as rsyslog:
        there = destination(rsyslog.port("datagrams"), "udp")
        threads = [threading.Thread(target=send, args=(there, stream)) for stream in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: len(rsyslog.messages("datagrams")) == EVENTS, "every event")
        assert set(rsyslog.messages("datagrams")) == {message for stream in range(STREAMS) for message in messages(stream)}


def messages(stream: int) -> list[bytes]:
    return [f'{{"txid":"{stream}-{number}"}}'.encode().ljust(600, b" ") + b"." for number in range(EVENTS // STREAMS)]


def send(there, stream: int) -> None:
    sender = udp.make(there)
    mine = messages(stream)
    for at in range(0, len(mine), 1_000):
        sender.begin()
        sender.send(page(mine[at : at + 1_000]))
        sender.confirm()
    sender.close(0)
