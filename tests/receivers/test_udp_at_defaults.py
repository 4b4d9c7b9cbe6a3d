"""UDP into real receivers that nobody tuned: their sockets have the system's default buffer, 208 KiB on Debian."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Authority
from tests.destinations.peers import destination, page
from tests.receivers.configured import KINDS, Configured
from tests.servers.harness import wait_until
from transforms.destinations.udp import sender as udp
from transforms.settings import Destination

pytestmark = pytest.mark.servers
EVENTS = 20_000
STREAMS = 4
_HEADER = b"<134>1 2026-03-02T08:09:10.045Z beam duologsync - auth - "
# What the documentation's files enlarge.
_UNTUNED = {
    "rsyslog": {' rcvbufSize="4m"': ""},
    "syslog-ng": {" so-rcvbuf(4194304)": ""},
    "otel": {"      async: {readers: 1, processors: 2, max_queue_length: 10000}\n": ""},
}


def test_twenty_thousand_events_of_four_streams_arrive_at_each_receiver_without_a_loss(
    tmp_path: Path, authority: Authority
) -> None:
    with ExitStack() as stack:
        receivers = {name: stack.enter_context(_untuned(name, tmp_path / name, authority)) for name in KINDS}
        there = [destination(receiver.ports["udp"], "udp") for receiver in receivers.values()]
        threads = [threading.Thread(target=_send, args=(each, stream)) for each in there for stream in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for receiver in receivers.values():
            wait_until(lambda receiver=receiver: len(receiver.events()) == EVENTS, "every event", 30)  # type: ignore[misc]
        expected = {f'{{"txid":"{stream}-{number}"}}' for stream in range(STREAMS) for number in range(EVENTS // STREAMS)}
        for receiver in receivers.values():
            assert {event[4].split(" ")[0] for event in receiver.events()} == expected


def _untuned(name: str, folder: Path, authority: Authority) -> Configured:
    folder.mkdir()
    return Configured(KINDS[name], folder, authority, _UNTUNED[name])


def _messages(stream: int) -> list[bytes]:
    rows = (f'{{"txid":"{stream}-{number}"}}' for number in range(EVENTS // STREAMS))
    return [(_HEADER + row.encode()).ljust(600, b" ") + b"." for row in rows]


def _send(there: Destination, stream: int) -> None:
    sender = udp.make(there)
    mine = _messages(stream)
    for at in range(0, len(mine), 1_000):
        sender.begin()
        sender.send(page(mine[at : at + 1_000]))
        sender.confirm()
    sender.close(0)
