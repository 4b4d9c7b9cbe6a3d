"""What this program knows by itself: positions, tallies, gaps, backfills, dead letters.

Place in the flow: the auditor asks for each stream and destination. Contract: reads and changes nothing; what a running copy
writes meanwhile is seen or not, and each file is whole.
"""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from transforms.days import DAY_MS, UNDATED, begin_of, day_of
from transforms.destinations.stored.keys import Keys
from transforms.duo.log_types import LOG_TYPES
from transforms.records import Subscription
from transforms.settings import Job, Storage
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.checkpoints.record import Record
from transforms.state.cursor import Cursor
from transforms.state.dead_letters.files import DONE, letter_files
from transforms.state.dead_letters.letter import DeadLetter, read_dead_letters
from transforms.state.ledger.tally import MOST_DAYS, NOTHING, Counts, Tally

_Identity = tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """What is known of a stream on its way to a destination.

    Attributes:
      position_ms: delivered up to here; None where there is no checkpoint.
      tally: None where nothing was counted.
      backfilled: by day, what backfills have read and confirmed.
      dead: dead letters by the key of their event (``stored.keys``): why.
      replayed: by day, how many events were dead letters until a replay sent them.
      replays_from_ms: replays of letters that are older may not be known any more.
    """

    position_ms: int | None = None
    tally: Tally | None = None
    backfilled: Mapping[str, Counts] = field(default_factory=dict)
    dead: Mapping[str, str] = field(default_factory=dict)
    replayed: Mapping[str, int] = field(default_factory=dict)
    replays_from_ms: float = 0.0

    @property
    def began_ms(self) -> int:
        """Where the destination began with the log; 0 where that is not known."""
        return self.tally.since if self.tally is not None and self.tally.whole else 0

    def counted(self, day: str) -> Counts | None:
        """What was counted of a day; None where counting began after events had been delivered of it, or it is so old that it
        was let go.
        """
        tally = self.tally
        if tally is None or (tally.since > begin_of(day) and not tally.whole):
            return None
        if day not in tally.days and len(tally.days) >= MOST_DAYS and day < min(tally.days):
            return None
        return tally.days.get(day, NOTHING)

    def counted_twice(self, day: str) -> bool:
        """Whether something of a day was sent again after an end without order."""
        begin_ms = begin_of(day)
        stretches = self.tally.again if self.tally is not None else ()
        return any(from_ms < begin_ms + DAY_MS and to_ms >= begin_ms for from_ms, to_ms in stretches)


class Evidence:
    """All of it, as of now.

    Attributes:
      unreadable: files of dead letters that cannot be read, and why. What is in them looks like missing events.
    """

    def __init__(self, job: Job, from_ms: int, until_ms: int) -> None:
        directory = Path(job.storage.checkpoint_dir)
        self._records = {record.subscription.identity: record for record in CheckpointStore(directory).records()}
        self._backfills: dict[_Identity, dict[str, Counts]] = defaultdict(dict)
        for each in sorted(directory.glob("backfill/*/")):
            for record in CheckpointStore(each).records():
                self._add_backfill(record)
        self.unreadable: list[str] = []
        self._dead = self._dead_letters(job.storage.dead_letter_dir, from_ms, until_ms)
        self._replayed = self._replayed_letters(job.storage.dead_letter_dir)
        self._replays_from_ms = _replays_from_ms(job.storage)

    def of(self, subscription: Subscription) -> Known:
        """What is known of one."""
        record = self._records.get(subscription.identity)
        backfilled = self._backfills.get(subscription.identity, {})
        dead = self._dead.get(subscription.identity, {})
        replayed = self._replayed.get(subscription.identity, Counter())
        if record is None:
            return Known(None, None, backfilled, dead, replayed, self._replays_from_ms)
        position_ms = Cursor.from_json(bytes(record.cursor)).position_ms
        return Known(position_ms, record.tallied, backfilled, dead, replayed, self._replays_from_ms)

    def _add_backfill(self, record: Record) -> None:
        tally = record.tallied
        days = self._backfills[record.subscription.identity]
        for day, counts in (tally.days if tally is not None else {}).items():
            days[day] = days.get(day, NOTHING) + counts

    def _dead_letters(self, directory: str, from_ms: int, until_ms: int) -> dict[_Identity, dict[str, str]]:
        """The reasons of dead letters whose event may have happened in a stretch, by subscription and key."""
        found: dict[_Identity, dict[str, str]] = defaultdict(dict)
        if "://" not in directory and not Path(directory).exists():
            return found
        days = (day_of(from_ms), day_of(until_ms))
        try:
            files = letter_files(directory)
        except OSError as error:
            self.unreadable.append(f"{directory}: {error.strerror or error}")
            return found
        for file in files:
            try:
                for letter in file.letters():
                    if days[0] <= _day_of(letter) <= days[1] or _day_of(letter) == UNDATED:
                        found[Subscription(letter.stream, letter.destination).identity][_key_of(letter)] = letter.reason
            except (OSError, ValueError) as error:  # a replay may have taken it meanwhile; then its events are there
                self.unreadable.append(f"{file.place}: {error}")
        return found

    def _replayed_letters(self, directory: str) -> dict[_Identity, Counter[str]]:
        """How many events of each day are in files that a replay has done with, and in none that waits."""
        keys: dict[_Identity, dict[str, str]] = defaultdict(dict)
        for path in sorted(Path(directory).glob(f"*{DONE}")) if "://" not in directory else ():
            try:
                for letter in read_dead_letters(path):
                    keys[Subscription(letter.stream, letter.destination).identity][_key_of(letter)] = _day_of(letter)
            except (OSError, ValueError) as error:
                self.unreadable.append(f"{path}: {error}")
        return {
            whose: Counter(day for key, day in found.items() if key not in self._dead.get(whose, {}))
            for whose, found in keys.items()
        }


def _replays_from_ms(storage: Storage) -> float:
    """Files that a replay has done with are looked at on this machine only, and are removed with what is too old."""
    if "://" in storage.dead_letter_dir:
        return math.inf
    return 0.0 if storage.dead_letter_keep_days is None else time.time() * 1000 - storage.dead_letter_keep_days * DAY_MS


def _day_of(letter: DeadLetter) -> str:
    log_type = LOG_TYPES.get(letter.log_type)
    return day_of(log_type.row_key(letter.raw).time_ms if log_type is not None and letter.raw else None)


def _key_of(letter: DeadLetter) -> str:
    log_type = LOG_TYPES.get(letter.log_type)
    return Keys(log_type.id_field if log_type is not None else None).of_text(letter.raw or letter.message)
