"""The last confirmed bytes, kept because the SIEM may not have read them.

Place in the flow: ``stream_delivery`` puts what it confirmed here and takes it out again after a reset.

Contract: holds whole blocks; never less than ``limit_bytes`` of the newest ones while that many were confirmed, and at most one
block more. The limit follows what the peer's kernel was seen to take, because no more than that can lie there unread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Block(NamedTuple):
    """Complete frames that are written at once."""

    frames: bytes
    messages: int


class Ring:
    """Newest blocks up to a limit."""

    def __init__(self, floor_bytes: int, cap_bytes: int) -> None:
        self._blocks: deque[Block] = deque()
        self._bytes = 0
        self._cap_bytes = cap_bytes
        self.limit_bytes = min(floor_bytes, cap_bytes)

    def allow_for_window(self, window_bytes: int) -> None:
        """The peer offered this window. It is doubled: the buffer behind it also holds what was read into it before."""
        self.limit_bytes = max(self.limit_bytes, min(2 * window_bytes, self._cap_bytes))

    def extend(self, blocks: list[Block]) -> None:
        """Adds newer blocks and lets go of what is older than the limit."""
        self._blocks.extend(blocks)
        self._bytes += sum(len(block.frames) for block in blocks)
        while self._blocks and self._bytes - len(self._blocks[0].frames) >= self.limit_bytes:
            self._bytes -= len(self._blocks.popleft().frames)

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
