"""CircuitBreakers what happened in one log of one account, in the server's order, in 16 bytes per event.

Place in the flow: producers add to it, ``paging`` looks up ranges and reads rows out of it, from several threads at once.
Contract: the order is (millisecond, number of arrival). It never changes for events that are there; a new event comes in behind
all older events of its millisecond, so a position "behind event X" stays right for ever.
"""

from __future__ import annotations

import datetime as dt
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pipelines.demo.simulator.ids import digest_of
from pipelines.demo.simulator.rows import RowFactory

# Logs that are not here have rows without an id.
ID_FIELDS = {"auth": "txid", "activity": "activity_id", "telephony": "telephony_id", "trustmonitor": "sekey"}


class EventLog:
    """One log: invented events by number, and given rows kept as they are."""

    def __init__(self, factory: RowFactory) -> None:
        self.factory = factory
        self._lock = threading.Lock()
        self._times = array("q")
        self._numbers = array("q")
        self._next_number = 0
        # Rows of a batch are of one size: (first number of the batch, bytes per row).
        self._batches: list[tuple[int, int]] = []
        self._given: dict[int, tuple[bytes, str]] = {}
        self._given_numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._times)

    def add_invented(self, times_ms: Sequence[int], row_bytes: int) -> range:
        """Adds one invented event per time and returns their numbers of arrival. ``times_ms`` must ascend."""
        with self._lock:
            first = self._next_number
            if not self._batches or self._batches[-1][1] != row_bytes:
                self._batches.append((first, row_bytes))
            self._place(times_ms)
        return range(first, first + len(times_ms))

    def add_given(self, rows: Iterable[bytes | dict[str, Any]], at_ms: int | None) -> list[str]:
        """Adds rows as they are, at ``at_ms`` or at the time that each row itself says; returns their ids.

        With ``at_ms`` bytes need not be JSON; what stands for their id is a digest.
        """
        parsed = [_parse(row, self.factory.log_type, at_ms) for row in rows]
        with self._lock:
            for time_ms, event_id, raw in parsed:
                number = self._next_number
                self._place([time_ms])
                self._given[number] = (raw, event_id)
                self._given_numbers[event_id] = number
        return [event_id for _, event_id, _ in parsed]

    def _place(self, times_ms: Sequence[int]) -> None:
        numbers = range(self._next_number, self._next_number + len(times_ms))
        self._next_number += len(times_ms)
        if not times_ms:
            return
        if not self._times or self._times[-1] <= times_ms[0]:
            self._times.extend(times_ms)
            self._numbers.extend(numbers)
        elif len(times_ms) <= 1000:
            for time_ms, number in zip(times_ms, numbers, strict=True):
                at = bisect_right(self._times, time_ms)
                self._times.insert(at, time_ms)
                self._numbers.insert(at, number)
        else:
            merged = sorted([*zip(self._times, self._numbers, strict=True), *zip(times_ms, numbers, strict=True)])
            self._times = array("q", [time_ms for time_ms, _ in merged])
            self._numbers = array("q", [number for _, number in merged])

    def number_of(self, event_id: str) -> int | None:
        """The number of arrival of an event id; None where the id cannot be of this log."""
        given = self._given_numbers.get(event_id)
        if given is None and self.factory.ids is not None:
            return self.factory.ids.number_of(event_id)
        return given

    def slice(
        self, low_ms: int, high_ms: int, *, after: tuple[int, int] | None, limit: int, descending: bool
    ) -> tuple[list[tuple[int, int]], int, bool]:
        """One page: (millisecond, number) of its events, how many the whole window has, and whether more follow.

        Args:
          low_ms, high_ms: the window, both ends in it.
          after: the position behind which the page begins, in the direction of reading.
        """
        with self._lock:
            low, high = bisect_left(self._times, low_ms), bisect_right(self._times, high_ms)
            total = max(0, high - low)
            if descending:
                end = high if after is None else min(high, self._index(after, behind=False))
                begin = max(low, end - limit)
                more = begin > low
            else:
                begin = low if after is None else max(low, self._index(after, behind=True))
                end = min(high, begin + limit)
                more = end < high
            found = list(zip(self._times[begin:end], self._numbers[begin:end], strict=True)) if begin < end else []
        return (found[::-1] if descending else found), total, more and bool(found)

    def _index(self, position: tuple[int, int], *, behind: bool) -> int:
        time_ms, number = position
        first, last = bisect_left(self._times, time_ms), bisect_right(self._times, time_ms)
        find = bisect_right if behind else bisect_left
        return find(self._numbers, number, first, last)

    def rows(self, found: Iterable[tuple[int, int]]) -> list[bytes]:
        """The bytes of events."""
        make, given = self.factory.row, self._given
        if not given and len(self._batches) == 1:
            size = self._batches[0][1]
            return [make(number, time_ms, size) for time_ms, number in found]
        return [given[number][0] if number in given else make(number, time_ms, self._size(number)) for time_ms, number in found]

    def _size(self, number: int) -> int:
        return self._batches[bisect_right(self._batches, number, key=lambda batch: batch[0]) - 1][1]

    def event_id(self, time_ms: int, number: int) -> str:
        """The id of an event, or what stands for it; two rows without an id that are alike have the same."""
        given = self._given.get(number)
        return given[1] if given else self.factory.event_id(number, time_ms, self._size(number))

    def all_rows(self) -> list[bytes]:
        """The bytes of all events, in the server's order."""
        with self._lock:
            found = list(zip(self._times, self._numbers, strict=True))
        return self.rows(found)

    def ids(self) -> list[str]:
        """The ids of all events, in the server's order."""
        with self._lock:
            found = list(zip(self._times, self._numbers, strict=True))
        return [self.event_id(time_ms, number) for time_ms, number in found]


def _parse(row: bytes | dict[str, Any], log_type: str, at_ms: int | None) -> tuple[int, str, bytes]:
    raw = row if isinstance(row, bytes) else msgspec.json.encode(row)
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if at_ms is None:
            raise
        return at_ms, digest_of(raw), raw  # an odd row: it is served as it is
    event_id = str(fields[ID_FIELDS[log_type]]) if log_type in ID_FIELDS else digest_of(raw)
    return (_time_ms(fields) if at_ms is None else at_ms), event_id, raw


def _time_ms(fields: dict[str, Any]) -> int:
    """The millisecond of a row; the fraction of the ISO time is cut, not rounded."""
    if "surfaced_timestamp" in fields:
        return int(fields["surfaced_timestamp"])
    if "timestamp" in fields and not fields.get("isotimestamp"):
        return int(fields["timestamp"]) * 1000
    moment = dt.datetime.fromisoformat(fields.get("isotimestamp") or fields["ts"])
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000
