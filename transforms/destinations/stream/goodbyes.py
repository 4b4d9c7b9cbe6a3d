"""Connections that are ending, each with the blocks that it carried and that the SIEM may not have read.

Place in the flow: ``delivery`` hands a connection over when it says goodbye to it, or when the receiver did; it asks for
the outcome before each bundle and between bundles.

Why a goodbye: syslog over TCP knows no acknowledgement, and what a kernel acknowledged is not read. But a receiver that answers
our end of the stream with its own has read everything before it, because a read gives the end last. So a connection is ended
whenever it is quiet, and now and then when it is not: only then is it known that all of it was read.

    we said goodbye        the receiver's own end: read. A reset, or a silent kernel: perhaps not. Neither: it hangs, or never
                           ends connections. It is waited for, but not for ever: nothing behind it is safe until then, and a
                           start would repeat all of it.
    the receiver did       it may have said so with bytes unread, as a process does that is shut down: its kernel answers with a
                           reset when the process is gone. Our own side stays open, or no reset would come, and is watched for
                           ``goodbye_watch_secs``; then all was read. Over TLS there may be no reset, so what was confirmed
                           just before is not left to this but sent again at once (``replay_buffer.parted_by_doubt``).

Contract: nothing here blocks, writes or connects. Not thread-safe; part of one sender.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from transforms.destinations.stream.connection import Connection, ConnectionLost
from transforms.destinations.stream.replay_buffer import Block
from transforms.destinations.stream.socket_probe import Peer
from transforms.destinations.stream.tuning import Tuning
from transforms.errors import FatalError


class Outcome(Enum):
    """How a connection ended."""

    READ = "everything that it carried was read"
    ANSWERED = "the same, and that was the answer to our goodbye"
    UNREAD = "it was reset, and what it carried may not have been read"
    REFUSED = "the same, and the reset was the answer to our goodbye"
    UNANSWERED = "our goodbye had no answer for so long that none is waited for; whether it was read will not be known"


@dataclass(slots=True, eq=False)
class Ending:
    """One connection that is ending.

    Attributes:
      by_peer: the receiver said goodbye first.
      said: our goodbye is on its way; over TLS it may have to wait until the kernel takes it.
    """

    connection: Connection
    blocks: list[Block]
    since: float
    by_peer: bool
    said: bool = False

    def outcome(self, now: float, tuning: Tuning) -> Outcome | None:
        """How it ended; None where that is not known yet. A reset at once after our goodbye is the answer to it, or chance."""
        peer = self._end()
        if peer is Peer.RESET:
            at_once = self.said and now - self.since < tuning.goodbye_refused_secs
            return Outcome.REFUSED if at_once else Outcome.UNREAD
        if self.by_peer:
            return Outcome.READ if now - self.since >= tuning.goodbye_watch_secs else None
        # An end that does not acknowledge ours is no answer to it: the two have crossed, and a reset may be on its way.
        if peer is Peer.CLOSED and not self.connection.unacknowledged_bytes():
            return Outcome.ANSWERED
        facts = self.connection.facts()
        if facts is not None and facts.silent_for(tuning.silence_secs):
            return Outcome.UNREAD
        return Outcome.UNANSWERED if now - self.since >= tuning.goodbye_unanswered_secs else None

    def _end(self) -> Peer:
        """How the receiver has ended it. As long as our goodbye did not fit, an end is no answer, and counts as a reset."""
        if self.by_peer or self.said:
            return self.connection.end()
        try:
            self.connection.look()
        except (ConnectionLost, FatalError):
            return Peer.RESET
        self.said = self.connection.shut()
        return self.connection.end() if self.said else Peer.ALIVE


class Endings:
    """The connections of one sender that are ending."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._endings: list[Ending] = []

    def __len__(self) -> int:
        return len(self._endings)

    @property
    def unanswered(self) -> bool:
        """A goodbye of ours waits for its answer."""
        return any(not ending.by_peer for ending in self._endings)

    def blocks(self) -> Iterator[Block]:
        """What they carried, and nobody knows whether it was read."""
        return (block for ending in self._endings for block in ending.blocks)

    def unanswered_secs(self, now: float) -> float:
        """For how long the oldest of our goodbyes has had no answer; 0 where none waits for one."""
        return max((now - ending.since for ending in self._endings if not ending.by_peer), default=0.0)

    def add(self, connection: Connection, blocks: list[Block], now: float, *, by_peer: bool) -> None:
        """This connection is ending. Where the receiver did not say so first, it is told now."""
        said = not by_peer and connection.shut()
        if blocks:
            self._endings.append(Ending(connection, blocks, now, by_peer, said))
        else:
            connection.abandon()

    def ended(self, now: float) -> list[tuple[Outcome, list[Block]]]:
        """What has ended since the last look, with the blocks that it carried; closed and forgotten here."""
        found: list[tuple[Outcome, list[Block]]] = []
        for ending in list(self._endings):
            outcome = ending.outcome(now, self._tuning)
            if outcome is not None:
                ending.connection.abandon()
                self._endings.remove(ending)
                found.append((outcome, ending.blocks))
        return found

    def abandon(self) -> list[Block]:
        """Waits no longer: closes all of them; the blocks that they carried."""
        blocks = list(self.blocks())
        for ending in self._endings:
            ending.connection.abandon()
        self._endings.clear()
        return blocks
