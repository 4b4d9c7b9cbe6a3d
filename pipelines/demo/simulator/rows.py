"""Makes the bytes of any event from its number, so that half a million events need no memory of their own.

Place in the flow: ``store`` knows which event happened at which millisecond; this makes the row when it is asked for.
Contract: the same number, time and settings always give the same bytes: one JSON object without a line break.
"""

from __future__ import annotations

import functools
import random
import re
import time

import msgspec

from pipelines.demo.simulator.ids import OLD_LOG_TYPES, IdScheme, digest_of, mix
from pipelines.demo.simulator.inventions import INVENTORS

# A prime, so that it shares no rhythm with counts such as 1000.
_INVENTIONS = 251
_MARKER = re.compile(rb'"@@([A-Z]+)@@"')
_QUOTED = {b"ID", b"TXID", b"ISO", b"ISOSECS", b"NAME"}


@functools.cache
def templates(log_type: str, row_bytes: int, seed: int) -> tuple[bytes, ...]:
    """Ready rows with ``%(NAME)b`` where each event differs."""
    rng = random.Random(f"{log_type}/{seed}")
    invented = (msgspec.json.encode(INVENTORS[log_type](rng, row_bytes)) for _ in range(_INVENTIONS))
    return tuple(_MARKER.sub(_placeholder, row.replace(b"%", b"%%")) for row in invented)


def _placeholder(match: re.Match[bytes]) -> bytes:
    placeholder = b"%(" + match[1] + b")b"
    return b'"' + placeholder + b'"' if match[1] in _QUOTED else placeholder


@functools.lru_cache(maxsize=4096)
def _iso_second(secs: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(secs)).encode()


def iso_time(time_ms: int, number: int) -> bytes:
    """ISO 8601 in UTC with microseconds; a whole second now and then has no fraction, as Python's own ``isoformat`` does."""
    secs, millis = divmod(time_ms, 1000)
    micros = number * 7919 % 1000
    if not millis and not micros % 10:
        return _iso_second(secs) + b"+00:00"
    return b"%b.%03d%03d+00:00" % (_iso_second(secs), millis, micros)


class RowFactory:
    """The rows of one log of one account."""

    def __init__(self, log_type: str, account_index: int = 0, seed: int = 0) -> None:
        self.log_type = log_type
        self.ids = None if log_type in OLD_LOG_TYPES else IdScheme(log_type, account_index, seed)
        self._linked = IdScheme("auth", account_index, seed)
        self._seed = seed
        self._name_tail = b"%x-%x" % (account_index, seed)

    def event_id(self, number: int, time_ms: int, row_bytes: int) -> str:
        """The id of event ``number``, or what stands for it."""
        if self.ids is None:
            return digest_of(self.row(number, time_ms, row_bytes))
        return self.ids.make(number).decode()

    def row(self, number: int, time_ms: int, row_bytes: int) -> bytes:
        """The row of event ``number``."""
        choices = templates(self.log_type, row_bytes, self._seed)
        return choices[mix(number) % len(choices)] % {
            b"ID": self.ids.make(number) if self.ids else b"",
            b"TXID": self._linked.make(number),
            b"ISO": iso_time(time_ms, number),
            b"ISOSECS": _iso_second(time_ms // 1000) + b"+00:00",
            b"NAME": b"guest-%x-%b" % (mix(number), self._name_tail),
            b"SECS": b"%d" % (time_ms // 1000),
            b"MS": b"%d" % time_ms,
        }
