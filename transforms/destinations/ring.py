"""The last confirmed bytes, kept because the SIEM may not have read them.

Place in the flow: ``stream_delivery`` puts what it confirmed here and writes it again after a reset.

Contract: holds whole blocks, and never less than ``limit_bytes`` of the newest ones while that many were confirmed. The limit
follows what the peer's kernel was seen to take, because no more than that can lie there unread.

Some load balancers end every quiet connection by a reset although all was read. Without an end to it each reset would bring the
same events again, for ever. So a block is let go when it twice lay acknowledged on a connection that then lived on for
``read_within_secs``: a SIEM that reads at all reads within that. A receiver that resets every connection sooner gets the ring
again each time, with growing pauses; that may be a proxy whose SIEM is away, so letting go would lose events.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.events import Stream

_SURVIVALS_NEEDED = 2


@dataclass(slots=True, eq=False)
class Block:
    """Complete frames that are written at once.

    Attributes:
      owner: whose messages they are, for whoever must be told that they may be unread.
      begun: its writing has begun on some connection.
      confirmed_at: when it was last confirmed.
      survivals: connections that lived on for long enough after it was confirmed on them.
    """

    frames: bytes
    messages: int
    owner: Stream | None = None
    begun: bool = False
    confirmed_at: float = 0.0
    survivals: int = 0


class Ring:
    """Newest blocks up to a limit."""

    def __init__(self, unknown_bytes: int, floor_bytes: int, cap_bytes: int) -> None:
        self._blocks: deque[Block] = deque()
        self._bytes = 0
        self._floor_bytes = floor_bytes
        self._cap_bytes = cap_bytes
        self._capacity_bytes = 0
        self.limit_bytes = min(unknown_bytes, cap_bytes)

    def allow_for(self, capacity_bytes: int) -> None:
        """The peer's kernel was seen to have room for this much. Doubled, because its buffer may grow unseen."""
        self._capacity_bytes = max(self._capacity_bytes, capacity_bytes)
        self.limit_bytes = min(max(2 * self._capacity_bytes, self._floor_bytes), self._cap_bytes)

    def extend(self, blocks: list[Block]) -> None:
        """Adds blocks that were confirmed now, and lets go of what is older than the limit."""
        now = time.monotonic()
        for block in blocks:
            block.confirmed_at = now
            self._blocks.append(block)
            self._bytes += len(block.frames)
        while self._blocks and self._bytes - len(self._blocks[0].frames) >= self.limit_bytes:
            self._bytes -= len(self._blocks.popleft().frames)

    def confirmed_again(self) -> None:
        """All of it was written again and confirmed, now."""
        now = time.monotonic()
        for block in self._blocks:
            block.confirmed_at = now

    def doubt(self, read_within_secs: float) -> None:
        """The connection on which all of it was confirmed is lost: lets go of what has been given chances enough to be read."""
        now = time.monotonic()
        for block in self._blocks:
            block.survivals += now - block.confirmed_at >= read_within_secs
        self._blocks = deque(block for block in self._blocks if block.survivals < _SURVIVALS_NEEDED)
        self._bytes = sum(len(block.frames) for block in self._blocks)

    def clear(self) -> None:
        """Everything in it was read, or has been handed on."""
        self._blocks.clear()
        self._bytes = 0

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def messages(self) -> int:
        return sum(block.messages for block in self._blocks)
