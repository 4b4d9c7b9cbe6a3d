"""Everything that a sender confirmed and that the SIEM may not have read, wherever it is by now.

Place in the flow: part of one ``StreamSender``, which writes; here is kept what would have to be written again.

    bundle ──confirmed──► replay ──later bytes──► read
                            │ connection ends
                            ├──in good order──► endings ──seen to be read──► read
                            │                      ├──never answered──► given up
                            │                      └──reset──┐
                            ├──TLS, receiver's own goodbye──►┤  what was confirmed just before it
                            └──reset────────────────────────►├──► doubtful ──queued──► again ──confirmed──► replay
                                                             └──chances enough──► given up ──kept as dead letters

Contract: nothing here blocks, writes or connects. Not thread-safe but for two plain numbers: ``first``, because every block
before it was read or kept, and ``held_bytes``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from transforms.destinations.health import Health
from transforms.destinations.stream.connection import Connection
from transforms.destinations.stream.goodbyes import Endings, Outcome
from transforms.destinations.stream.replay_buffer import Block, ReplayBuffer, parted_by_chances, parted_by_doubt
from transforms.destinations.stream.tuning import Tuning
from transforms.process.log_once import LogOnce
from transforms.records import Stream
from transforms.state.receipts import Receipt

_WORTH_TELLING_SECS = 60.0


@dataclass(frozen=True, slots=True)
class BlockReceipt:
    """A ``Receipt`` for everything up to one block."""

    unread: Unread
    number: int

    @property
    def read(self) -> bool:
        return self.number < self.unread.first

    def covers(self, earlier: Receipt) -> bool:
        return isinstance(earlier, BlockReceipt) and earlier.unread is self.unread and earlier.number <= self.number


class Unread:
    """See the module.

    Attributes:
      replay: confirmed on the present connection. endings: connections that carried something and are ending.
      again: confirmed once, lost, and written again on the present connection or about to be.
      given_up: whether it was read will never be known; whoever keeps it says so with ``given_up_is_kept``.
      first: the number of the first block that may be unread; of blocks that were confirmed it only grows.
      held_bytes: the size of all of it, when ``first`` was last brought up to date.
    """

    def __init__(self, tuning: Tuning, health: Health) -> None:
        self.replay = ReplayBuffer(tuning.replay_unknown_bytes, tuning.replay_floor_bytes, tuning.replay_cap_bytes)
        self.endings = Endings(tuning)
        self.again: list[Block] = []
        self.given_up: list[Block] = []
        self.first = 1
        self.held_bytes = 0
        self._doubtful: list[Block] = []
        self._confirmed = 0  # the number of the last block that was
        self._read_within_secs = tuning.read_within_secs
        self._doubt_limits = tuning.goodbye_doubt_secs, tuning.goodbye_doubt_bytes
        self._health = health
        self._unanswered = LogOnce()

    @property
    def in_doubt(self) -> bool:
        """Something must be written again."""
        return bool(self._doubtful or self.again)

    def blocks(self) -> Iterator[Block]:
        """All of it."""
        yield from self.given_up
        yield from self._doubtful
        yield from self.again
        yield from self.replay
        yield from self.endings.blocks()

    def confirmed(self, bundle: Iterable[Block], now: float) -> None:
        """These, and what was written again, are acknowledged on the present connection."""
        self.replay.extend(self.again, now)
        self.again = []
        for block in bundle:
            self._confirmed = block.number
            self.replay.extend((block,), now)
        self.count()

    def to_write(self) -> list[Block]:
        """What must be written again and is not in the present connection's queue yet."""
        blocks, self._doubtful = self._doubtful, []
        self.again += blocks
        return blocks

    def reset(self, now: float) -> None:
        """The present connection is gone, without a goodbye."""
        again, given_up = parted_by_chances(self.replay.take(), now, self._read_within_secs)
        self._doubt([*self.again, *again])
        self.again = []
        if given_up:
            self.given_up += given_up
            self._health.given_up(sum(block.messages for block in given_up))

    def ending(self, connection: Connection, now: float, *, by_peer: bool) -> None:
        """The present connection is ending; how will be seen."""
        self._doubt(self.again)  # by the receiver's goodbye in the middle of it
        self.again = []
        blocks = self.replay.take()
        if by_peer and not connection.tells_unread:
            again, blocks = parted_by_doubt(blocks, _last_heard_at(connection, now), *self._doubt_limits)
            self._doubt(again)
        self.endings.add(connection, blocks, now, by_peer=by_peer)

    def look(self, now: float) -> None:
        """What has become of the connections that are ending."""
        for outcome, blocks in self.endings.ended(now):
            if outcome is Outcome.ANSWERED:
                self._health.goodbye_answered()
            elif outcome is Outcome.UNANSWERED:
                self._health.goodbye_refused()
                self.given_up += blocks
                self._health.never_answered(sum(block.messages for block in blocks))
            elif outcome is not Outcome.READ:
                if outcome is Outcome.REFUSED:
                    self._health.goodbye_refused()
                self._doubt(blocks)
                self._health.away("the receiver reset the connection at its end")
        unanswered_secs = self.endings.unanswered_secs(now)
        if unanswered_secs < _WORTH_TELLING_SECS:
            self._unanswered.over()
        elif self._unanswered.due() is not None:
            self._health.unanswered(unanswered_secs)
        self.count()

    def given_up_is_kept(self) -> None:
        """Somebody else has what was given up."""
        self.given_up = []
        self.count()

    def let_go(self) -> None:
        """The end: nothing is waited for any more. What may be unread stays known."""
        self._doubt([*self.again, *self.replay.take(), *self.endings.abandon()])
        self.again = []
        self.count()

    def count(self) -> None:
        """Brings ``first`` and ``held_bytes`` up to date."""
        self.first, held_bytes = self._confirmed + 1, 0
        for block in self.blocks():
            self.first = min(self.first, block.number)
            held_bytes += len(block.frames)
        self.held_bytes = held_bytes

    def _doubt(self, blocks: list[Block]) -> None:
        self._doubtful = sorted([*self._doubtful, *blocks], key=lambda block: block.number)


def _last_heard_at(connection: Connection, now: float) -> float:
    """When the goodbye came, which may have been long before it was looked for; now where the kernel does not say."""
    facts = connection.facts()
    return now if facts is None else now - facts.last_ack_ms / 1000


def by_owner(blocks: Iterable[Block], split: Callable[[bytes], list[bytes]]) -> list[tuple[Stream | None, list[bytes]]]:
    """The messages of blocks, for each stream; ``split`` takes their frames apart."""
    messages: dict[Stream | None, list[bytes]] = {}
    for block in blocks:
        messages.setdefault(block.owner, []).extend(split(block.frames))
    return list(messages.items())
