"""The rate budgets of the process, one per (integration key, API host, path), and the file that keeps what they learnt.

Place: between the feed and ``rate``; the supervisor of a local run loads and saves. Where nobody loads (a worker of Flink or
Dataflow), every process learns anew, which takes about a minute.

Contract of the file ``.rate-budgets`` in the checkpoint directory: mode 600, written aside and renamed, at most every 30 s,
only after something was learnt, and at the end. Integration keys are in it as hashes. It is a hint: one that is not readable
or of another version is told, not used, and written anew; nothing is ever lost with it. Entries that are older than a week, or
that promise a wait of more than an hour, are not believed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path

import msgspec

from transforms.duo.rate_limit.budget import Pace, RateBudget
from transforms.notices import state
from transforms.notices.notice import tell
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.files import open_new, read_own
from transforms.process.lifetime import per_process
from transforms.process.log_once import LogOnce

_LOGGER = logging.getLogger("duologsync.duo")
FILE_NAME = ".rate-budgets"
_VERSION = 1
_SAVE_EVERY_SECS = 30.0
_BELIEVED_SECS = 7 * 86_400.0
_LONGEST_WAIT_SECS = 3600.0


class _Entry(msgspec.Struct, frozen=True):
    """One budget. ``next_call_at`` and ``saved_at`` are seconds since the epoch."""

    interval_secs: float
    limit_secs: float
    bursts: bool
    next_call_at: float
    saved_at: float


class _File(msgspec.Struct, frozen=True):
    v: int
    budgets: dict[str, _Entry]


class Budgets:
    """All budgets of a process. Thread-safe."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._budgets: dict[str, RateBudget] = {}
        self._kept: dict[str, _Entry] = {}
        self._path: Path | None = None
        self._saved_at = 0.0
        self._saved_versions: dict[str, int] = {}
        self._not_kept = LogOnce()

    def of(self, ikey: str, api_host: str, path: str, least_pause_secs: float) -> RateBudget:
        """The one budget for these credentials at this endpoint."""
        key = _key(ikey, api_host, path)
        with self._lock:
            budget = self._budgets.get(key)
            if budget is None:
                budget = self._budgets[key] = RateBudget(now=self._clock.monotonic_secs)
                self._restore(key, budget)
        budget.at_least(least_pause_secs)
        return budget

    @property
    def count(self) -> int:
        """How many endpoints this process calls, of all accounts."""
        return len(self._budgets)

    def load(self, directory: str | Path) -> None:
        """Takes what an earlier process learnt, and keeps what this one learns in the same place."""
        path = Path(directory) / FILE_NAME
        with self._lock:
            self._path, self._kept, self._saved_at = path, _read(path), 0.0
            for key, budget in self._budgets.items():
                self._restore(key, budget)
            self._saved_versions = self._versions()

    def save(self, *, at_once: bool = False) -> None:
        """Writes the file where something was learnt since; ``at_once`` at the end of a run. Never raises."""
        with self._lock:
            if self._path is None or (not at_once and self._clock.monotonic_secs() - self._saved_at < _SAVE_EVERY_SECS):
                return
            paces = {key: pace for key, budget in self._budgets.items() if (pace := budget.pace()) is not None}
            versions = self._versions()
            if versions == self._saved_versions and not (at_once and paces):
                return
            now = self._clock.wall_secs()
            kept = {key: entry for key, entry in self._kept.items() if key not in self._budgets and _believed(entry, now)}
            self._kept = kept | {key: _entry(pace, now) for key, pace in paces.items()}
            self._saved_at = self._clock.monotonic_secs()
            try:
                _write(self._path, msgspec.json.encode(_File(_VERSION, self._kept)))
            except OSError as error:
                if self._not_kept.due(str(self._path)) is not None:
                    tell(
                        _LOGGER,
                        state.BUDGETS_NOT_KEPT,
                        "The rate budgets cannot be kept in %s: %s.",
                        self._path,
                        error.strerror,
                    )
                return
            self._saved_versions = versions

    def _versions(self) -> dict[str, int]:
        return {key: budget.version for key, budget in self._budgets.items() if budget.version}

    def _restore(self, key: str, budget: RateBudget) -> None:
        entry, now = self._kept.get(key), self._clock.wall_secs()
        if entry is not None and _believed(entry, now):
            # Where the clock went back since, what is left of the wait is not known; it is no more than it was.
            wait = min(max(0.0, entry.next_call_at - max(now, entry.saved_at)), _LONGEST_WAIT_SECS)
            budget.restore(Pace(entry.interval_secs, entry.limit_secs, entry.bursts, wait))


def _key(ikey: str, api_host: str, path: str) -> str:
    return hashlib.sha256(f"{ikey}\0{api_host}\0{path}".encode()).hexdigest()[:32]


def _entry(pace: Pace, now: float) -> _Entry:
    return _Entry(pace.interval_secs, pace.limit_secs, pace.bursts, next_call_at=now + pace.wait_secs, saved_at=now)


def _believed(entry: _Entry, now: float) -> bool:
    sane = 0 < entry.limit_secs <= _LONGEST_WAIT_SECS and 0 < entry.interval_secs <= _LONGEST_WAIT_SECS
    return (
        sane
        and abs(now - entry.saved_at) < _BELIEVED_SECS
        and entry.next_call_at - max(now, entry.saved_at) <= _LONGEST_WAIT_SECS
    )


# Made while importing: msgspec crashes the process where two threads are the first to decode a type at the same time.
_decode_file = msgspec.json.Decoder(_File).decode


def _read(path: Path) -> dict[str, _Entry]:
    try:
        file = _decode_file(read_own(path))
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        tell(
            _LOGGER,
            state.BUDGETS_NOT_USED,
            "%s is not readable and not used: %s. How fast Duo may be called is learnt anew.",
            path,
            cause,
        )
        return {}
    if file.v != _VERSION:
        tell(
            _LOGGER,
            state.BUDGETS_NOT_USED,
            "%s has version %d and is not used: this release reads version %d.",
            path,
            file.v,
            _VERSION,
        )
        return {}
    return file.budgets


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = open_new(fresh)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    fresh.replace(path)


BUDGETS = per_process("rate budgets", Budgets)


def budget_of(ikey: str, api_host: str, path: str, least_pause_secs: float) -> RateBudget:
    """The process's one budget for these credentials at this endpoint."""
    return BUDGETS.of(ikey, api_host, path, least_pause_secs)
