"""The last confirmed blocks of a connection, kept because the SIEM may not have read them.

Place in the flow: ``delivery`` puts what it confirmed here, and writes it again where the connection ends by a reset.

Contract: holds whole blocks, and never less than ``limit_bytes`` of the newest ones while that many were confirmed. What is
older has been read: the peer's kernel holds no more than that unread. The limit follows what the kernel was seen to take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from transforms.records import Stream

_SURVIVALS_NEEDED = 2
_DOUBTS_AT_MOST = 2


@dataclass(slots=True, eq=False)
class Block:
    """Complete frames that are written at once.

    Attributes:
      number: grows from block to block of a sender.
      owner: whose messages they are, for whoever must be told that they may be unread.
      begun: its writing has begun on some connection.
      confirmed_at: when it was last confirmed.
      survivals: connections that lived on for long enough after it was confirmed on them, and were reset then.
      doubts: times that it is sent again because of a receiver's own goodbye soon after it was confirmed.
    """

    frames: bytes
    messages: int
    number: int = 0
    owner: Stream | None = None
    begun: bool = False
    confirmed_at: float = 0.0
    survivals: int = 0
    doubts: int = 0


class ReplayBuffer:
    """Newest blocks up to a limit.

    Attributes:
      size_bytes: what is in it. limit_bytes: what it keeps of more.
    """

    def __init__(self, unknown_bytes: int, floor_bytes: int, cap_bytes: int) -> None:
        self.size_bytes = 0
        self._blocks: deque[Block] = deque()
        self._floor_bytes = floor_bytes
        self._cap_bytes = cap_bytes
        self._capacity_bytes = 0
        self.limit_bytes = min(unknown_bytes, cap_bytes)

    def allow_for(self, capacity_bytes: int) -> None:
        """The peer's kernel was seen to have room for this much. Doubled, because its buffer may grow unseen."""
        self._capacity_bytes = max(self._capacity_bytes, capacity_bytes)
        self.limit_bytes = min(max(2 * self._capacity_bytes, self._floor_bytes), self._cap_bytes)

    def extend(self, blocks: Iterable[Block], now: float) -> None:
        """Adds blocks that were confirmed now, and lets go of what is older than the limit."""
        for block in blocks:
            block.confirmed_at = now
            self._blocks.append(block)
            self.size_bytes += len(block.frames)
        while self._blocks and self.size_bytes - len(self._blocks[0].frames) >= self.limit_bytes:
            self.size_bytes -= len(self._blocks.popleft().frames)

    def take(self) -> list[Block]:
        """All of them, in the order in which they were confirmed. It is empty afterwards."""
        blocks = list(self._blocks)
        self._blocks.clear()
        self.size_bytes = 0
        return blocks

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


def parted_by_chances(blocks: Iterable[Block], now: float, read_within_secs: float) -> tuple[list[Block], list[Block]]:
    """Blocks that are to be written again, and those that have been given chances enough.

    Some load balancers end every quiet connection by a reset although all was read. Without an end to it each reset would bring
    the same events again, for ever. So a block is given up when it twice lay acknowledged on a connection that lived on for
    ``read_within_secs`` and was then reset, before a goodbye was said to it. A receiver that resets every connection sooner
    gets its blocks again each time, with growing pauses.
    """
    again: list[Block] = []
    given_up: list[Block] = []
    for block in blocks:
        block.survivals += now - block.confirmed_at >= read_within_secs
        (again if block.survivals < _SURVIVALS_NEEDED else given_up).append(block)
    return again, given_up


def parted_by_doubt(
    blocks: Sequence[Block], goodbye_at: float, doubt_secs: float, doubt_bytes: int
) -> tuple[list[Block], list[Block]]:
    """Blocks that are to be written again after a receiver's own goodbye over TLS, and those that count as read.

    Its TLS library may read what is left in the kernel and throw it away before it closes, and then no reset tells of it. An
    rsyslog that is shut down does so with one TLS record, up to 16 KiB (``SSL_read`` after ``SSL_shutdown``). From outside that
    looks like an end after all was read. More than its buffer holds it cannot hide: the kernel would have the rest, and reset.
    So the last ``doubt_bytes`` are sent again, where they lay there only for a moment; but only so often: some receivers end
    each connection themselves soon after they have read it.

    Args:
      blocks: the oldest first.
    """
    again: list[Block] = []
    read: list[Block] = []
    behind_bytes = 0
    for block in reversed(blocks):
        doubted = behind_bytes < doubt_bytes and block.doubts < _DOUBTS_AT_MOST and goodbye_at - block.confirmed_at < doubt_secs
        behind_bytes += len(block.frames)
        block.doubts += doubted
        (again if doubted else read).append(block)
    return again[::-1], read[::-1]
