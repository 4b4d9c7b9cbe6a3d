"""The report that the checkpoint directory gives, whether anything runs or not.

Place in the flow: ``status`` asks here, and adds what the running program says of itself where there is one.

Contract: only looks: at checkpoints, the lock and dead letters, all on this machine. Every stream that the configuration reads
is in the report, with a checkpoint or without; so is every checkpoint that it does not read any more, and every damaged one.
What only the running program knows is left out: rates, causes, connections. Raises RetryLater for a directory on another file
system that cannot be asked, OSError for a local one that cannot be listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.monitoring import words
from pipelines.monitoring.backfills import backfills_in
from pipelines.monitoring.report import VERSION, DeadLetters, DestinationReport, Missing, Report, StreamReport
from pipelines.monitoring.words import StreamFacts
from transforms.records import Stream, Subscription
from transforms.settings import Account, Job, Reading
from transforms.state.checkpoints.inspection import DamagedRecord, damaged_records, is_in_use, may_be_written_elsewhere
from transforms.state.checkpoints.record import Record
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor, Gap
from transforms.state.dead_letters.counts import Kind, count_letters

CHILDREN = "(children)"
"""Stands for the children of an MSP's parent where none was ever read."""
_LEEWAY_SECS = 60.0
_STANDS_STILL_SECS = 600.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a position is; ``lag_secs`` and ``backlog_events`` as in ``StreamReport``."""

    lag_secs: float
    caught_up: bool
    finished: bool
    backlog_events: int | None


def progress_of(cursor: Cursor, reading: Reading, now_ms: int) -> Progress:
    """How far a position is at a moment."""
    inside = cursor.maxtime_ms is not None
    finished = reading.until_ms is not None and not inside and cursor.position_ms >= reading.until_ms
    known_total = cursor.window_total if inside else None
    backlog = None if known_total is None else max(0, known_total - cursor.window_rows)
    age_secs = (now_ms - cursor.position_ms) / 1000
    if finished or (reading.until_ms is None and age_secs <= usual_age_secs(reading)):
        return Progress(0.0, not finished, finished, 0)
    return Progress(max(0.0, age_secs - reading.lag_secs), False, False, backlog)


def usual_age_secs(reading: Reading) -> float:
    """How old the position of a stream that keeps up is at most."""
    return reading.lag_secs + 2 * reading.longest_poll_secs + _LEEWAY_SECS


def missing_of(gaps: Iterable[Gap]) -> tuple[Missing, ...]:
    """The gaps of a cursor, as they are reported."""
    return tuple(Missing(gap.from_ms, gap.to_ms, gap.missing, gap.tries, gap.due_ms) for gap in gaps)


def stored_report(job: Job, now_ms: int) -> Report:
    """What the checkpoint directory says."""
    return _Looking(job, now_ms).report()


def kept_letters(counts: Mapping[Kind, int]) -> tuple[DeadLetters, ...]:
    """Counts of dead letters, as they are reported: the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(DeadLetters(kind.destination, kind.log_type, kind.reason, count, kind.account) for kind, count in ordered)


class _Looking:
    """One look at a directory."""

    def __init__(self, job: Job, now_ms: int) -> None:
        self._job = job
        self._now_ms = now_ms
        self._directory = job.storage.checkpoint_dir
        self._is_here = "://" not in self._directory
        self._refuse_unlisted()
        self._letters = count_letters(job.storage.dead_letter_dir)
        self._records = list(store_at(self._directory).records())
        self._damaged = list(damaged_records(Path(self._directory))) if self._is_here else []
        self._runs = self._whether_it_runs()

    def report(self) -> Report:
        streams = sorted(self._streams(), key=lambda each: (each.account, each.log_type, each.destination))
        said = words.of_run(streams, runs=self._runs)
        return Report(
            VERSION,
            self._now_ms,
            said.state,
            said.words,
            said.todo,
            streams=tuple(streams),
            destinations=tuple(DestinationReport(each.name, each.kind, each.place) for each in self._job.destinations),
            dead_letters=kept_letters(self._letters),
            backfills=tuple(backfills_in(self._directory)),
            dead_letter_keep_days=self._job.storage.dead_letter_keep_days,
        )

    def _refuse_unlisted(self) -> None:
        """A directory that we may not look into must not look like an empty one."""
        if self._is_here and Path(self._directory).exists():
            os.listdir(self._directory)  # noqa: PTH208 - a Path hides what keeps it from being listed

    def _whether_it_runs(self) -> bool | None:
        if not self._is_here:
            return None
        directory = Path(self._directory)
        newest_ms = max((record.committed_ms for record in self._records), default=0)
        return True if is_in_use(directory) else None if may_be_written_elsewhere(directory, newest_ms) else False

    def _streams(self) -> Iterator[StreamReport]:
        told = set()
        for record in self._records:
            told.add(_key(record.subscription))
            yield self._of_record(record)
        for damaged in self._damaged:
            if damaged.subscription is None or _key(damaged.subscription) not in told:
                told |= {_key(damaged.subscription)} if damaged.subscription is not None else set()
                yield self._of_damaged(damaged)
        for account in self._job.accounts:
            for subscription in self._wanted_of(account, {account_name for account_name, _, _ in told}):
                if _key(subscription) not in told:
                    yield self._report(self._facts(subscription), subscription)

    def _wanted_of(self, account: Account, known_accounts: set[str]) -> Iterator[Subscription]:
        """What the configuration reads of an account: of a parent, of its children as far as any was ever read."""
        names = [account.name]
        if account.is_msp:
            names = [name for name in known_accounts if name.startswith(f"{account.name}/")] or [f"{account.name}/{CHILDREN}"]
        for name in names:
            for log_type in self._job.log_types_of(account.name):
                for destination in self._job.destinations_of(account.name, log_type):
                    yield Subscription(Stream(name, log_type), destination.name)

    def _of_record(self, record: Record) -> StreamReport:
        cursor = Cursor.from_json(bytes(record.cursor))
        safe = bytes(record.safe)
        return self._report(
            self._facts(record.subscription, cursor, record.committed_ms),
            record.subscription,
            record,
            safe_ms=cursor.position_ms if safe == b"null" else Cursor.from_json(safe).position_ms,
        )

    def _of_damaged(self, damaged: DamagedRecord) -> StreamReport:
        """A stream whose record cannot be read: it is told by the name of the file where nothing else is left."""
        subscription = damaged.subscription or Subscription(Stream(damaged.file, "?"), "?")
        if damaged.too_new:
            onward = "Install that release again; this one does not read the stream, and nothing is skipped."
        elif damaged.before is None:
            onward = "The next start begins at its full look-back, and repeats events; none is skipped."
        else:
            position_ms = Cursor.from_json(bytes(damaged.before.cursor)).position_ms
            onward = f"The next start goes on at {words.moment(position_ms)}, where the record before it was; none is skipped."
        facts = self._facts(subscription, damaged=f"{damaged.cause} {onward}")
        return self._report(facts, subscription, damaged.before)

    def _facts(
        self, subscription: Subscription, cursor: Cursor | None = None, committed_ms: int = 0, damaged: str = ""
    ) -> StreamFacts:
        progress = None if cursor is None else progress_of(cursor, self._job.reading, self._now_ms)
        return StreamFacts(
            log_type=subscription.stream.log_type,
            destination=subscription.destination,
            now_ms=self._now_ms,
            runs=self._runs,
            configured=bool(damaged) or self._is_configured(subscription),
            position_ms=None if cursor is None or (cursor.is_beginning and not cursor.gaps) else cursor.position_ms,
            lag_secs=None if progress is None else progress.lag_secs,
            caught_up=progress is not None and progress.caught_up,
            finished=progress is not None and progress.finished,
            backlog_events=None if progress is None else progress.backlog_events,
            advances=None if cursor is None else self._now_ms - committed_ms < 1000 * _STANDS_STILL_SECS,
            damaged=damaged,
            missing=missing_of(cursor.gaps) if cursor is not None else (),
        )

    def _is_configured(self, subscription: Subscription) -> bool:
        stream = subscription.stream
        known = {account.name: account for account in self._job.accounts}
        parent = known.get(stream.account.partition("/")[0])
        if stream.account not in known and (parent is None or not parent.is_msp):
            return False
        return subscription.destination in {d.name for d in self._job.destinations_of(stream.account, stream.log_type)}

    def _report(
        self, facts: StreamFacts, subscription: Subscription, record: Record | None = None, safe_ms: int | None = None
    ) -> StreamReport:
        account = subscription.stream.account
        whose = (account, facts.log_type, facts.destination)
        letters = {kind: count for kind, count in self._letters.items() if kind[:3] == whose}
        not_delivered = sum(count for kind, count in letters.items() if not kind.was_sent)
        return replace(
            words.reported(account, facts),
            safe_ms=safe_ms,
            delivered=max(0, record.delivered - not_delivered) if record else 0,
            committed_ms=record.committed_ms if record else None,
            dead_letters=sum(letters.values()),
        )


def _key(subscription: Subscription) -> tuple[str, str, str]:
    """What names one in a table: a child that has moved to another API host is the same."""
    return subscription.stream.account, subscription.stream.log_type, subscription.destination
