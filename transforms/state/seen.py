"""The memory of rows that were handed on: short digests, grouped by minute, packed so that a busy stream can have a million.

Place in the flow: a part of the cursor; ``deduplication`` asks it and adds to it.

Contract: values, never changed: what is added makes a new one, which shares the minutes that are as they were. The digests of a
minute are sorted 64-bit numbers, eight bytes each, in this machine's byte order; ``to_wire`` and ``from_wire`` turn them into
little-endian bytes, which all machines share. Among the sixty thousand rows of a busy minute, chance makes a new row look like
an old one once in 10^14 rows.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import blake2b

MINUTE_MS = 60_000
DIGEST_BYTES = 8
# Groups that are not minutes: rows that tell no time, and ids (not rows) that an imported checkpoint names.
NO_TIME = -1
IMPORTED_IDS = -2

Seen = Mapping[int, bytes]


def row_digest(name: bytes) -> int:
    """A short name of a row, from its bytes."""
    return int.from_bytes(blake2b(name, digest_size=DIGEST_BYTES).digest(), "little")


def packed(digests: Iterable[int]) -> bytes:
    """Digests as a group holds them."""
    return array("Q", sorted(set(digests))).tobytes()


def count_in(group: bytes) -> int:
    """How many digests a group holds."""
    return len(group) // DIGEST_BYTES


def is_in(group: bytes, digest: int) -> bool:
    """Whether a group holds a digest."""
    numbers = memoryview(group).cast("Q")
    at = bisect_left(numbers, digest)
    return at < len(numbers) and numbers[at] == digest


def count_seen(seen: Seen, from_ms: int = 0) -> int:
    """How many rows are remembered, from a time on."""
    first_minute = from_ms // MINUTE_MS
    return sum(count_in(group) for minute, group in seen.items() if minute >= first_minute)


def with_seen(seen: Seen, more: Iterable[tuple[int, int]]) -> Seen:
    """``seen`` and these ``(minute, digest)``; unchanged minutes are shared, not copied."""
    fresh: dict[int, set[int]] = {}
    for minute, digest in more:
        fresh.setdefault(minute, set()).add(digest)
    return {**seen, **{minute: _merged(seen.get(minute, b""), digests) for minute, digests in fresh.items()}} if fresh else seen


def without_old(seen: Seen, from_ms: int, most_rows: int) -> tuple[Seen, int]:
    """``seen`` from a time on and with at most so many rows, the newest; and from when on it is whole."""
    kept: dict[int, bytes] = {}
    rows = 0
    for minute in sorted(seen, reverse=True):
        if minute == IMPORTED_IDS or 0 <= minute < from_ms // MINUTE_MS:
            continue
        rows += count_in(seen[minute])
        if rows > most_rows:
            return kept, max(from_ms, (minute + 1) * MINUTE_MS)
        kept[minute] = seen[minute]
    return kept, from_ms


def to_wire(group: bytes) -> bytes:
    """A group in the byte order that travels."""
    return group if sys.byteorder == "little" else _swapped(group)


def from_wire(group: bytes) -> bytes:
    """A group that travelled. Raises ValueError where it cannot be one."""
    if len(group) % DIGEST_BYTES:
        raise ValueError(f"{len(group)} bytes are no digests")
    return group if sys.byteorder == "little" else _swapped(group)


def _merged(group: bytes, digests: set[int]) -> bytes:
    known = array("Q", group).tolist()
    # Two sorted runs: to sort them is to merge them. What is there already must not be there twice.
    known += sorted(digest for digest in digests if not is_in(group, digest))
    known.sort()
    return array("Q", known).tobytes()


def _swapped(group: bytes) -> bytes:
    numbers = array("Q", group)
    numbers.byteswap()
    return numbers.tobytes()
