"""The program's handle on a connection of the proof: ``Connection`` over a ``Wire``, and the way to get one.

Place: the one file that knows what the delivery asks of a connection (``transforms.destinations.stream.connection``).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from tests.proof.siem import SEND_BYTES, Host, Wire
from tests.proof.simulation import Simulation
from transforms.destinations.stream.connection import ConnectionLost, Watch
from transforms.destinations.stream.socket_probe import Peer, TcpFacts

_KEEPALIVE_SECS = 60.0
_SLICE_SECS = 0.2


class WireConnection:
    """See ``Connection``. As over plain TCP, a reset tells of what was not read."""

    tells_unread = True

    def __init__(self, simulation: Simulation, wire: Wire) -> None:
        self._simulation = simulation
        self._wire = wire
        self._shut = False

    def write(self, frames: memoryview) -> int:
        self._simulation.operation(0.0002)
        wire = self._wire
        if self._dead():
            raise ConnectionLost("the connection was reset")
        taken = min(len(frames), SEND_BYTES - len(wire.unacknowledged))
        wire.unacknowledged += frames[:taken]
        wire.move()
        return taken

    def look(self) -> None:
        self._simulation.check()
        if self._dead():
            raise ConnectionLost("the receiver reset the connection")
        if self._wire.peer_ended:
            raise ConnectionLost("the receiver closed the connection", goodbye=not self._wire.unacknowledged)

    def unacknowledged_bytes(self) -> int:
        self._simulation.check()
        return len(self._wire.unacknowledged)

    def facts(self) -> TcpFacts:
        wire, now = self._wire, self._simulation.now
        asked = wire.unacknowledged and wire.silent_since is not None and now - wire.silent_since > 3
        answered_at = now if wire.silent_since is None else wire.acknowledged_at
        return TcpFacts(5 if asked else 0, int((now - answered_at) * 1000), wire.window_bytes)

    def wait_writable(self, secs: float) -> None:
        end = self._simulation.now + secs
        while self._simulation.now < end and len(self._wire.unacknowledged) >= SEND_BYTES and not self._ended():
            self._simulation.sleep(min(0.05, max(0.0, end - self._simulation.now)))

    def shut(self) -> bool:
        self._simulation.operation()
        self._say_goodbye()
        return True

    def end(self) -> Peer:
        self._simulation.check()
        if self._dead():
            return Peer.RESET
        return Peer.CLOSED if self._wire.peer_ended else Peer.ALIVE

    def abandon(self) -> None:
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        if not self._shut:
            self._shut = True
            self._wire.sender_ended = True
            self._wire.move()

    def _ended(self) -> bool:
        return self._dead() or self._wire.peer_ended

    def _dead(self) -> bool:
        wire = self._wire
        if wire.silent_since is not None and not wire.unacknowledged:
            # Nothing was asked: only the keep-alive probes notice.
            return wire.reset or self._simulation.now - wire.silent_since > _KEEPALIVE_SECS
        return wire.reset


def connector(simulation: Simulation, host: Host, alive: list[tuple[object, Wire]]) -> Callable[[float, Watch], WireConnection]:
    """The ``connect`` of a sender. Whose connections are open is noted in ``alive``, for the day that their process dies."""

    def connect(deadline: float, watch: Watch) -> WireConnection:
        simulation.operation(0.001)
        while not host.reachable:
            watch()
            left = deadline - simulation.monotonic_secs
            if left <= 0:
                raise TimeoutError("timed out")
            simulation.sleep(min(left, _SLICE_SECS))
        if not host.listens:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        wire = host.connect()
        alive.append((simulation.current.group, wire))
        return WireConnection(simulation, wire)

    return connect
