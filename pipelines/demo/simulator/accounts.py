"""The accounts that a simulator serves and what happened in them: the account of its own and the children of an MSP.

Place in the flow: the server looks logs up here; tests, the control plane and the demo add events here.
Contract: thread-safe; ids never repeat between log types, accounts, or simulators of different ``seed``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.demo.simulator.ids import LOG_TYPES, OLD_LOG_TYPES
from pipelines.demo.simulator.rows import RowFactory
from pipelines.demo.simulator.store import EventLog

# How often each log type happens in a company of the usual kind, per hundred events.
SHARES = {"auth": 62, "activity": 15, "telephony": 20, "trustmonitor": 3}
OWN = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A child account of an MSP parent, as the account list shows it."""

    account_id: str
    name: str
    api_hostname: str


def spread(start_ms: int, end_ms: int, count: int) -> list[int]:
    """``count`` times from ``start_ms`` to ``end_ms``, evenly, both ends in."""
    if count <= 1 or start_ms == end_ms:
        return [start_ms] * count
    width = end_ms - start_ms
    return [start_ms + index * width // (count - 1) for index in range(count)]


class Accounts:
    """All logs of all accounts."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._children: dict[str, Child] = {}
        self._indexes: dict[str, int] = {}
        self._logs: dict[tuple[str, str], EventLog] = {}
        self._open(OWN)
        self._rng = random.Random(seed)

    def _open(self, account_id: str) -> None:
        # A child that left and came back has its old logs.
        index = self._indexes.setdefault(account_id, len(self._indexes))
        for log_type in (*LOG_TYPES, *OLD_LOG_TYPES):
            self._logs.setdefault((account_id, log_type), EventLog(RowFactory(log_type, index, self._seed)))

    def add_child(self, account_id: str, name: str, api_hostname: str) -> Child:
        """Takes a child in."""
        child = Child(account_id, name, api_hostname)
        with self._lock:
            self._open(account_id)
            self._children[account_id] = child
        return child

    def remove_child(self, account_id: str) -> None:
        """A child leaves: it is not listed any more and calls for it are forbidden."""
        with self._lock:
            self._children.pop(account_id, None)

    def children(self) -> list[Child]:
        """The children of now."""
        with self._lock:
            return list(self._children.values())

    def child(self, account_id: str) -> Child | None:
        """One child."""
        return self._children.get(account_id)

    def log(self, log_type: str, account_id: str = OWN) -> EventLog:
        """One log; KeyError where there is none of that name."""
        return self._logs[account_id, log_type]

    def add(
        self,
        log_type: str,
        what: int | Iterable[bytes | dict[str, Any]],
        *,
        at_ms: int | None = None,
        spread_ms: int = 0,
        row_bytes: int = 0,
        account_id: str = OWN,
    ) -> list[str]:
        """Adds ``what``: so many invented events, or given rows; see ``DuoSimulator.add``."""
        log = self.log(log_type, account_id)
        if not isinstance(what, int):
            return log.add_given(what, at_ms)
        start_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        times_ms = spread(start_ms, start_ms + spread_ms, what)
        numbers = log.add_invented(times_ms, row_bytes)
        return [log.event_id(time_ms, number) for time_ms, number in zip(times_ms, numbers, strict=True)]

    def add_backlog(
        self, log_type: str, count: int, start_ms: int, end_ms: int, *, row_bytes: int, account_id: str = OWN
    ) -> None:
        """Adds ``count`` invented events, evenly from ``start_ms`` to ``end_ms``."""
        self.log(log_type, account_id).add_invented(spread(start_ms, end_ms, count), row_bytes)

    def add_mixed(self, count: int, times_ms: Sequence[int], row_bytes: int) -> None:
        """Adds ``count`` events that happen now, of log types by their shares, spread over all accounts that are read.

        Args:
          times_ms: first and last time.
        """
        accounts = [child.account_id for child in self.children()] or [OWN]
        kinds = self._rng.choices(list(SHARES), weights=list(SHARES.values()), k=count)
        for log_type, time_ms in zip(kinds, spread(times_ms[0], times_ms[-1], count), strict=True):
            self.log(log_type, self._rng.choice(accounts)).add_invented([time_ms], row_bytes)

    def counts(self) -> dict[str, int]:
        """Events produced per log type, over all accounts; of the old logs only those that have any."""
        with self._lock:
            logs = list(self._logs.items())
        totals = dict.fromkeys(LOG_TYPES, 0)
        for (_, log_type), log in logs:
            if log_type in totals or len(log):
                totals[log_type] = totals.get(log_type, 0) + len(log)
        return totals

    def account_ids(self) -> list[str]:
        """Every account that ever had a log here; the first, "", is the parent or only one."""
        with self._lock:
            return list(self._indexes)
