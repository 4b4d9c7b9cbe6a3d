"""Event ids that can be computed: one per (log type, account, seed, number of arrival), and back again.

Rows of the old logs have no id; what stands for one is a digest of the row, and nothing leads back from it.

Place in the flow: rows carry these ids; cursors carry them back, and paging turns one into its place in the log.
Contract: ``make`` never gives the same id twice for numbers below 2**48; ``number_of(make(n)) == n``; other ids give None.
"""

from __future__ import annotations

import hashlib
import re

LOG_TYPES = ("auth", "activity", "telephony", "trustmonitor")
# The logs of API v1: their rows have no id.
OLD_LOG_TYPES = ("admin", "offline_enrollment")

# The number is multiplied by an odd constant modulo 2**48, which can be undone: ids look unrelated and do not sort by age.
_BITS = 48
_MASK = (1 << _BITS) - 1
_FACTOR = 0x9E3779B97F4B
_INVERSE = pow(_FACTOR, -1, 1 << _BITS)


def mix(number: int) -> int:
    """Scatters numbers over 48 bits, one to one; counted from 1, because 0 would stay 0."""
    return (number + 1) * _FACTOR & _MASK


class IdScheme:
    """The ids of one log of one account: UUIDs, or for Trust Monitor 20 characters that begin with SE."""

    def __init__(self, log_type: str, account_index: int = 0, seed: int = 0) -> None:
        self._is_sekey = log_type == "trustmonitor"
        if self._is_sekey:
            self._tail = b"%03X%03X" % (account_index & 0xFFF, seed & 0xFFF)
            self._pattern = re.compile(r"SE([0-9A-F]{12})" + self._tail.decode())
        else:
            self._tail = b"4%03x-%04x-%012x" % (LOG_TYPES.index(log_type) + 1, 0x8000 | account_index & 0x3FFF, seed & _MASK)
            self._pattern = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4})-" + self._tail.decode())

    def make(self, number: int) -> bytes:
        """The id of the event that arrived as number ``number``."""
        mixed = (number + 1) * _FACTOR & _MASK
        if self._is_sekey:
            return b"SE%012X%b" % (mixed, self._tail)
        return b"%08x-%04x-%b" % (mixed >> 16, mixed & 0xFFFF, self._tail)

    def number_of(self, event_id: str) -> int | None:
        """The number of arrival that an id stands for; None where the id is not of this log."""
        match = self._pattern.fullmatch(event_id)
        if match is None:
            return None
        return ((int(match[1].replace("-", ""), 16) * _INVERSE) & _MASK) - 1


def digest_of(row: bytes) -> str:
    """What stands for the id of a row that has none; rows that are alike have the same."""
    return hashlib.sha256(row).hexdigest()[:40]
