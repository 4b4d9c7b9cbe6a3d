"""UDP to a machine that goes away: the network says so after seconds, and what can be known of it is not lost."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.destinations.peers import deliver, destination, messages
from tests.servers.harness import wait_until
from tests.servers.scenarios import Cable
from transforms.destinations.udp import sender as udp

pytestmark = pytest.mark.servers
_CLONE_NEWNET = 0x40000000


@pytest.fixture
def cable() -> Iterator[Cable]:
    if not Cable.possible():
        pytest.skip("not allowed here: a network of its own for the receiver")
    with Cable(f"duo-udp-{os.getpid() % 10_000}") as cable:
        yield cable


class Far:
    """A socket at the other end of a cable that keeps what comes."""

    def __init__(self, cable: Cable) -> None:
        self.received: list[bytes] = []
        self.port = 0
        self._network = Path(f"/run/netns/{cable.name}")
        # A socket stays in the network that the thread which made it was in.
        threading.Thread(target=self._run, daemon=True).start()
        wait_until(lambda: self.port, "the socket")

    def _run(self) -> None:
        with self._network.open("rb") as network:
            assert ctypes.CDLL(None).setns(network.fileno(), _CLONE_NEWNET) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((Cable.SIEM, 0))
            self.port = sock.getsockname()[1]
            while True:
                self.received.append(sock.recv(65536))


def test_a_machine_that_has_gone_is_waited_for_and_gets_the_bundle_before_once_more(cable: Cable) -> None:
    far = Far(cable)
    sender = udp.make(destination(far.port, "udp", host=Cable.SIEM))
    deliver(sender, messages(10))
    wait_until(lambda: len(far.received) == 10, "the first bundle")
    _silence(cable, True)
    deliver(sender, messages(10, start=10))  # nobody can know yet
    threading.Timer(9.0, _silence, args=(cable, False)).start()
    wait_until(lambda: _look(sender), "the network knows", 20)
    deliver(sender, messages(10, start=20))
    wait_until(lambda: set(messages(30)) <= set(far.received), "all three bundles")
    assert sender.reconnects > 0
    sender.close(0)


def _look(sender: udp.UdpSender) -> bool:
    sender.check()
    return bool(sender._refused)


def _silence(cable: Cable, silent: bool) -> None:
    """The machine answers no question for its address, as one that is switched off."""
    subprocess.run(["ip", "-n", cable.name, "link", "set", f"{cable.name}b", "arp", "off" if silent else "on"], check=True)
    if silent:
        subprocess.run(["ip", "neigh", "flush", "dev", f"{cable.name}a"], check=True)


def test_what_this_machines_own_queue_has_no_room_for_is_sent_when_it_has(cable: Cable) -> None:
    far = Far(cable)
    sender = udp.make(destination(far.port, "udp", host=Cable.SIEM, max_events_per_sec=1_000_000.0))
    narrow = ["tc", "qdisc", "add", "dev", f"{cable.name}a", "root", "tbf", "rate", "8mbit", "burst", "2k", "limit", "3k"]
    if subprocess.run(narrow, check=False, capture_output=True).returncode:
        pytest.skip("not allowed here: a queue of its own for the cable")
    sent = messages(1_000, size=1_000)
    deliver(sender, sent)
    wait_until(lambda: len(far.received) == len(sent), "every datagram, once")
    assert far.received == sent
    sender.close(0)
