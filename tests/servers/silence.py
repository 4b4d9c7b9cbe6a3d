"""Run in a network of its own by test_silence: a receiver whose network goes away while bytes are on their way."""

import subprocess
import threading
from dataclasses import replace

from tests.destinations.peers import FAST, Peer, deliver, destination, eventually, messages
from transforms.destinations.stream import tcp


def loopback(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


loopback("up")
peer = Peer()
sender = tcp.make(destination(peer.port, connect_timeout_secs=0.5), replace(FAST, silence_secs=2.0, stall_secs=1.0))
deliver(sender, messages(50))
loopback("down")
threading.Timer(4.0, loopback, args=("up",)).start()
deliver(sender, messages(50, start=50))
eventually(lambda: not peer.lost(messages(100)))
print(f"connections={len(peer.connections)}")
