"""What Duo sends that this release does not know: new fields, and new values of fields that have one of a few.

Place in the flow: the feed shows each answer that it fetched; what is new is told in the log, once for each field and value,
and counted for the metrics ``unknown_fields`` and ``unknown_values``. It changes nothing: events travel as Duo sent them.

Contract: ``ROWS_A_LOOK`` rows of an answer are looked into, other ones each time, and at most ``LOOKS_A_SEC`` answers a
second, so what is rare is found late. The table of a log's fields is its ``row_fields``, that of values its ``row_values``; a
value of any other field is neither told nor kept. ``MOST`` fields and as many values are told of each log. A row that cannot
be read is not looked into. Thread-safe; the lock is a leaf.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from transforms.duo.log_types.base import LogType
from transforms.duo.log_types.row_values import is_known
from transforms.metrics.catalog import UNKNOWN_FIELDS, UNKNOWN_VALUES
from transforms.metrics.registry import METRICS
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.lifetime import per_process

_LOGGER = logging.getLogger("duologsync.duo")
LOOKS_A_SEC = 5
ROWS_A_LOOK = 4
MOST = 50
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_. '-]{0,59}")


class Drift:
    """See the module."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._looks = 0
        self._seen: dict[tuple[str, str], set[str]] = {}

    def look(self, log_type: LogType, rows: list[bytes]) -> None:
        """Duo has answered with these rows."""
        if not rows or not log_type.row_fields:
            return
        with self._lock:
            now = self._clock.monotonic_secs()
            if now - self._looked_at < 1 / LOOKS_A_SEC:
                return
            self._looked_at = now
            self._looks += 1
            first = self._looks
        apart = max(1, len(rows) // ROWS_A_LOOK)
        for number in range(min(ROWS_A_LOOK, len(rows))):
            self._look_into(log_type, rows[(first + number * apart) % len(rows)])

    def _look_into(self, log_type: LogType, row: bytes) -> None:
        try:
            fields = _decode_row(row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, MemoryError):
            return
        for path in _unknown_fields(fields, log_type, ""):
            self._field(log_type.name, path)
        for path, value in _unknown_values(fields, log_type):
            self._value(log_type.name, path, value)

    def _field(self, log: str, path: str) -> None:
        shown = _shown(path)
        if self._is_new((log, "fields"), shown):
            METRICS.add(UNKNOWN_FIELDS, (log,))
            _LOGGER.info("The log %s has a field that this release does not know: %s. Events keep it as it is.", log, shown)

    def _value(self, log: str, path: str, value: str) -> None:
        shown = _shown(value)
        if self._is_new((log, "values"), f"{path}={shown}"):
            METRICS.add(UNKNOWN_VALUES, (log, path))
            _LOGGER.info(
                "The log %s has a value of %s that this release does not know: %s. Events keep it as it is.", log, path, shown
            )

    def _is_new(self, of: tuple[str, str], one: str) -> bool:
        with self._lock:
            seen = self._seen.setdefault(of, set())
            if one in seen or len(seen) >= MOST:
                return False
            seen.add(one)
            return True


DRIFT = per_process("drift", Drift)

# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_row = msgspec.json.Decoder(dict[str, Any]).decode


def _unknown_fields(fields: dict[str, Any], log_type: LogType, parent: str) -> Iterator[str]:
    """The dotted paths of fields that are not known; of one that is not, nothing below it."""
    known = log_type.row_fields
    for name, value in fields.items():
        path = f"{parent}{name}"
        if path in known:
            continue
        below = f"{path}."
        if not any(each.startswith(below) for each in known):
            yield path
        elif isinstance(value, dict):
            yield from _unknown_fields(value, log_type, below)


def _unknown_values(fields: dict[str, Any], log_type: LogType) -> Iterator[tuple[str, str]]:
    for path, known in log_type.row_values.items():
        value: Any = fields
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and value and not is_known(value, known):
            yield path, value


def _shown(text: str) -> str:
    """As a line of the log can have it: words as Duo writes them; what else there is may be somebody's."""
    return text if _WORDS.fullmatch(text) else "one that is no word of Duo's and is not shown"
