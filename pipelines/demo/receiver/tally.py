"""Counts what arrived: messages, bytes, different and repeated events per log type, and when.

Place in the flow: every connection's thread adds its messages; tests and reports read. Contract: thread-safe;
a million different events cost about 110 MB with their ids, 80 MB with hashes of them, and nothing without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.demo.receiver.recognise import recognise

IdKeeping = Literal["full", "hashed", "none"]


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What arrived of one log type.

    Attributes:
      unique, repeated: events by their id; messages without an id are in neither.
      first_at_secs, last_at_secs: when the first and the last arrived, since the epoch.
    """

    messages: int
    unique: int
    repeated: int
    bytes: int
    first_at_secs: float
    last_at_secs: float

    @property
    def messages_per_sec(self) -> float:
        """The mean rate between first and last arrival; 0 while all came at once."""
        took_secs = self.last_at_secs - self.first_at_secs
        return self.messages / took_secs if took_secs > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "messages_per_sec": round(self.messages_per_sec, 1)}


@dataclass(slots=True)
class _Log:
    first_at_secs: float
    last_at_secs: float
    messages: int = 0
    repeated: int = 0
    bytes: int = 0
    ids: set[Any] = field(default_factory=set)


class Tally:
    """All counts of a receiver.

    Args:
      keep_messages: keep every message, in the order of arrival.
      ids: keep event ids, or hashes of them, or nothing; without them repeats are not seen.
      on_messages: called with each batch, from a connection's thread.
    """

    def __init__(
        self, *, keep_messages: bool = False, ids: IdKeeping = "full", on_messages: Callable[[list[bytes]], None] | None = None
    ) -> None:
        self._keep_messages = keep_messages
        self._ids = ids
        self._on_messages = on_messages
        self._changed = threading.Condition()
        self._logs: dict[str, _Log] = {}
        self._messages: list[bytes] = []
        self._total = 0

    def add(self, messages: list[bytes]) -> None:
        """Counts one batch."""
        if not messages:
            return
        now = time.time()
        groups: dict[str, tuple[list[bytes], list[int]]] = {}
        for message in messages:
            log_type, event_id = recognise(message)
            group = groups.get(log_type)
            if group is None:
                group = groups[log_type] = ([], [])
            group[1].append(len(message))
            if event_id is not None:
                group[0].append(event_id)
        with self._changed:
            for log_type, (event_ids, sizes) in groups.items():
                self._count(log_type, event_ids, sizes, now)
            self._total += len(messages)
            if self._keep_messages:
                self._messages.extend(messages)
            self._changed.notify_all()
        if self._on_messages is not None:
            self._on_messages(messages)

    def _count(self, log_type: str, event_ids: list[bytes], sizes: list[int], now: float) -> None:
        log = self._logs.setdefault(log_type, _Log(now, now))
        log.last_at_secs = now
        log.messages += len(sizes)
        log.bytes += sum(sizes)
        if self._ids == "none":
            return
        before = len(log.ids)
        log.ids.update(event_ids if self._ids == "full" else map(hash, event_ids))
        log.repeated += len(event_ids) - (len(log.ids) - before)

    def counts(self) -> dict[str, LogCounts]:
        """What arrived so far, per log type."""
        with self._changed:
            return {
                name: LogCounts(log.messages, len(log.ids), log.repeated, log.bytes, log.first_at_secs, log.last_at_secs)
                for name, log in self._logs.items()
            }

    def total(self) -> int:
        """Messages so far, of all log types."""
        return self._total

    def messages(self) -> list[bytes]:
        """The messages so far; only with ``keep_messages``."""
        if not self._keep_messages:
            raise RuntimeError("This receiver was made without keep_messages.")
        with self._changed:
            return list(self._messages)

    def unique_ids(self, log_type: str) -> set[str]:
        """The different event ids of a log type; only while ids are kept in full."""
        if self._ids != "full":
            raise RuntimeError("This receiver does not keep event ids in full.")
        with self._changed:
            log = self._logs.get(log_type)
            return {event_id.decode("utf-8", "replace") for event_id in log.ids} if log else set()

    def wait_for(self, count: int, timeout_secs: float, *, log_type: str | None = None, unique: bool = False) -> bool:
        """Waits until so many messages (or different events) have arrived; whether they have."""

        def arrived() -> int:
            logs = self._logs.values() if log_type is None else filter(None, [self._logs.get(log_type)])
            return sum(len(log.ids) if unique else log.messages for log in logs)

        with self._changed:
            return self._changed.wait_for(lambda: arrived() >= count, timeout_secs)

    def forget(self) -> None:
        """Begins to count anew."""
        with self._changed:
            self._logs.clear()
            self._messages.clear()
            self._total = 0
