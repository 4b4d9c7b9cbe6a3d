"""A SIEM's machine in memory: its kernel, its network, and the application that reads, or does not.

Place: the far end of every connection of the proof. ``connection`` gives the program its handle on a ``Wire``.

Contract: bytes move as TCP moves them. What the sender writes lies in its own kernel until the receiver's kernel has room and
the network works; from then on it is acknowledged, and it lies in the receiver's kernel until the application reads it. Only
what the application read has arrived: lines behind it count, and survive everything. A close with unread bytes is a reset, one
without is a FIN. A machine that loses its power says nothing more; when it is back, its kernel answers old connections by a
reset.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable

from tests.proof.simulation import Simulation

SEND_BYTES = 16 * 1024
_SLICE_SECS = 0.1
_KEEPALIVE_SECS = 30.0


class Wire:
    """One TCP connection, seen from the receiver's side; the sender's kernel included."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.unacknowledged = bytearray()  # in the sender's kernel
        self.unread = bytearray()  # in the receiver's kernel
        self.line = b""  # what the application has of a line that is not whole
        self.sender_ended = False  # FIN or close of the sender, behind all its bytes
        self.peer_ended = False  # the receiver's FIN has arrived at the sender
        self.reset = False  # the receiver's reset has arrived at the sender
        self.over = False  # the receiver knows nothing of it any more
        self.reads_on = True  # the application still means to read from it
        self.silent_since: float | None = None
        self.acknowledged_at = host.simulation.now

    @property
    def window_bytes(self) -> int:
        return max(0, self.host.receive_bytes - len(self.unread))

    def move(self) -> None:
        """What can move moves: into the receiver's kernel now, to its application a moment later."""
        if self.silent_since is not None or self.over:
            unknown = self.unacknowledged or (self.sender_ended and not self.peer_ended)
            if self.over and self.silent_since is None and unknown:
                self.arrive_reset()
            return
        room = self.window_bytes
        if self.unacknowledged and room:
            self.unread += self.unacknowledged[:room]
            del self.unacknowledged[:room]
            self.acknowledged_at = self.host.simulation.now
        if self.unread or self.sender_ended:
            self.host.read_soon(self)

    def arrive_reset(self) -> None:
        """The receiver's kernel wants to hear nothing of this connection."""
        self.reset = True
        self.unacknowledged.clear()

    # --- what the receiver's side does -------------------------------------------------------------------------------

    def read(self, most: int) -> int:
        """The application reads; whole lines have arrived."""
        taken = bytes(self.unread[:most])
        del self.unread[:most]
        *lines, self.line = (self.line + taken).split(b"\n")
        self.host.lines += lines
        self.move()
        if self.sender_ended and not self.unread and not self.unacknowledged and not self.over:
            self.over = True
            self.peer_ended = True
        return len(taken)

    def close(self) -> None:
        """The application is gone, or closes: a reset where something is unread."""
        if self.over:
            return
        self.over = True
        counts = self.host.counts
        if self.unread:
            counts["reset with unread bytes"] += 1
            counts["unread bytes that were lost"] += len(self.unread)
            self.unread.clear()
            self.arrive_reset()
        else:
            counts["closed with all read"] += 1
            self.peer_ended = True

    def shut(self) -> None:
        """The application says that it will send nothing, and stops to read."""
        self.reads_on = False
        self.peer_ended = True


class Host:
    """A SIEM. ``pace``: ``all`` reads what comes, ``none`` accepts and hangs, ``slow`` reads a little now and then.

    ``refuses_one_in``: so rare are messages that it does not want, whoever sends them again; 0 for none.
    """

    def __init__(self, simulation: Simulation, name: str, receive_bytes: int, lag_secs: float) -> None:
        self.simulation = simulation
        self.name = name
        self.receive_bytes = receive_bytes
        self.lag_secs = lag_secs
        self.pace = "all"
        self.refuses_one_in = 0
        self.listens = True
        self.reachable = True
        self.lines: list[bytes] = []
        self.wires: list[Wire] = []
        self.counts: Counter[str] = Counter()
        self._soon: set[int] = set()

    def connect(self) -> Wire:
        wire = Wire(self)
        self.wires = [old for old in self.wires if not old.over]
        self.wires.append(wire)
        return wire

    def read_soon(self, wire: Wire) -> None:
        if id(wire) not in self._soon and self.pace != "none" and wire.reads_on:
            self._soon.add(id(wire))
            self.simulation.later(self.lag_secs if self.pace == "all" else _SLICE_SECS, lambda: self._read(wire))

    def _read(self, wire: Wire) -> None:
        self._soon.discard(id(wire))
        if not wire.over and wire.reads_on and self.pace != "none":
            wire.read(len(wire.unread) if self.pace == "all" else 200)
            if wire.unread or wire.unacknowledged:
                self.read_soon(wire)

    def refuses(self, message: bytes) -> bool:
        """Whether it does not want this message, and says so."""
        refused = bool(self.refuses_one_in) and zlib.crc32(message) % self.refuses_one_in == 0
        self.counts["messages refused"] += refused
        return refused

    # --- troubles ----------------------------------------------------------------------------------------------------

    def set_pace(self, pace: str) -> None:
        self.pace = pace
        self._move_all()

    def reset_all(self) -> None:
        """The application crashes and is there again at once."""
        self._each(Wire.close)

    def stop(self) -> None:
        """The application is gone: connections end, new ones are refused."""
        self.listens = False
        self._each(Wire.close)

    def start(self) -> None:
        self.listens = True

    def shut_all(self, reset_after_secs: float) -> None:
        """A goodbye without reading, and the end some time later.

        Not where the sender has said goodbye before: then both have, the connection is no more, and no reset follows. That is
        the one thing that nobody can see, and not promised.
        """
        wires = [wire for wire in self.wires if not wire.over and not wire.sender_ended and wire.silent_since is None]
        for wire in wires:
            wire.shut()
        self.counts["goodbye before a reset"] += sum(1 for wire in wires if wire.unread)
        self.simulation.later(reset_after_secs, lambda: [wire.close() for wire in wires])

    def cut_cable(self) -> None:
        self.reachable = False
        for wire in self.wires:
            wire.silent_since = self.simulation.now if wire.silent_since is None else wire.silent_since

    def put_cable_back(self) -> None:
        self.reachable = True
        for wire in self.wires:
            wire.silent_since = None
        self._move_all()

    def lose_power(self) -> None:
        """The machine: nothing is said any more, and what its kernel held is gone."""
        self.cut_cable()
        self.listens = False
        for wire in self.wires:
            if not wire.over:
                self.counts["power cut with unread bytes"] += bool(wire.unread)
                self.counts["unread bytes that were lost"] += len(wire.unread)
            wire.over = True
            wire.unread.clear()

    def boot(self) -> None:
        self.listens = True
        self.put_cable_back()
        for wire in self.wires:
            if wire.over and not wire.peer_ended:  # the next keep-alive probe is answered
                self.simulation.later(_KEEPALIVE_SECS, wire.arrive_reset)

    def heal(self) -> None:
        self.pace = "all"
        self.refuses_one_in = 0
        self.boot()

    def _each(self, action: Callable[[Wire], None]) -> None:
        for wire in list(self.wires):
            if wire.silent_since is None:
                action(wire)

    def _move_all(self) -> None:
        for wire in list(self.wires):
            wire.move()
