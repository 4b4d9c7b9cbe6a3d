"""What is known of every stream of a running local run: where it is, how fast it moves, what holds it up.

Place in the flow: part of ``observe``, which holds a lock around each call. Contract: looks at the checkpoint store's memory,
the feeds and the runners; reads no file and makes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipelines.local.children import Children
from pipelines.local.stream_runner import StreamRunner
from pipelines.monitoring import words
from pipelines.monitoring.rates import MINUTE_SECS, Rates
from pipelines.monitoring.report import StreamReport
from pipelines.monitoring.stored import missing_of, usual_age_secs
from transforms.destinations.health import health_of
from transforms.duo.client.client import PageRefused
from transforms.duo.fetch.feed import FeedFacts
from transforms.errors import FatalError, RetryLater, StreamUnavailable
from transforms.metrics.catalog import EVENTS_FILTERED, EVENTS_REJECTED
from transforms.metrics.registry import METRICS, Labels, of_stream
from transforms.records import Subscription
from transforms.settings import Job
from transforms.state.checkpoints.record import Positions
from transforms.state.checkpoints.stores import store_at
from transforms.state.cursor import Cursor
from transforms.state.dead_letters.counts import Kind

_STILL_SECS = 2 * MINUTE_SECS


class Running(Protocol):
    """Whose streams these are: the supervisor of a run."""

    @property
    def runners(self) -> Sequence[StreamRunner]:
        """The streams that are read, and those that will be."""
        ...

    @property
    def parents(self) -> Sequence[Children]:
        """The MSPs whose children are followed."""
        ...

    def wrong(self, destination: str) -> FatalError | None:
        """Why a destination can never be used as configured."""
        ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """One stream, as the program has it in memory at this moment. ``positions`` and what is behind it: of its checkpoint."""

    runner: StreamRunner
    feed: FeedFacts | None
    positions: Positions | None = None
    committed_ms: int | None = None
    rates: Rates | None = None

    @property
    def delivered(self) -> int:
        return self.positions.delivered if self.positions is not None else 0


class _Counts:
    """What is counted of all streams, each by account, log type and destination. Read once for a report."""

    def __init__(self, letters: Mapping[Kind, int]) -> None:
        self.dead_letters: Counter[Labels] = Counter()
        self.not_delivered: Counter[Labels] = Counter()  # dead letters without those that were sent as well
        for kind, count in letters.items():
            labels = (kind.account, kind.log_type, kind.destination)
            self.dead_letters[labels] += count
            self.not_delivered[labels] += 0 if kind.was_sent else count
        self.rejected = _by_stream(METRICS.of(EVENTS_REJECTED))
        self.filtered = _by_stream(METRICS.of(EVENTS_FILTERED))


class Streams:
    """See the module."""

    def __init__(self, job: Job, running: Running) -> None:
        self._job = job
        self._running = running
        self._store = store_at(job.storage.checkpoint_dir)
        self._destinations = {destination.name: destination for destination in job.destinations}
        self._rates: dict[Subscription, Rates] = {}

    def sample(self, now: float, *, everything: bool) -> None:
        """Notes what is delivered by now, of all streams or of those that are new."""
        runners = self._running.runners
        if not everything and len(self._rates) >= len(runners):
            return
        for runner in runners:
            if everything or runner.subscription not in self._rates:
                known = self._store.present(runner.subscription)
                if known is not None:
                    self._rates_of(runner.subscription, known[0], now)
        if everything:
            present = {runner.subscription for runner in runners}
            self._rates = {each: rates for each, rates in self._rates.items() if each in present}

    def report(self, now_ms: int, letters: Mapping[Kind, int]) -> tuple[StreamReport, ...]:
        """How each of them is. ``letters``: the dead letters that are kept."""
        now, counts = time.monotonic(), _Counts(letters)
        return tuple(self._one(runner, counts, now, now_ms) for runner in self._running.runners)

    # --- one stream --------------------------------------------------------------------------------------------------

    def _one(self, runner: StreamRunner, counts: _Counts, now: float, now_ms: int) -> StreamReport:
        seen = self._seen(runner, now)
        positions, labels = seen.positions, of_stream(runner.subscription)
        account = runner.subscription.stream.account
        return replace(
            words.reported(account, self._facts(seen, now, now_ms)),
            safe_ms=positions.safe.position_ms if positions is not None and not positions.safe.is_beginning else None,
            delivered=max(0, seen.delivered - counts.not_delivered[labels]),
            rejected=counts.rejected[labels],
            filtered=counts.filtered[labels],
            rates=seen.rates.per_second(seen.delivered, now) if seen.rates is not None else (),
            oldest_undelivered_ms=seen.feed.oldest_ms if seen.feed is not None else None,
            committed_ms=seen.committed_ms,
            dead_letters=counts.dead_letters[labels],
            title=self._title(account),
        )

    def _seen(self, runner: StreamRunner, now: float) -> _Seen:
        found = self._store.present(runner.subscription)
        feed = runner.feed.facts() if runner.feed is not None else None
        if found is None:
            return _Seen(runner, feed)
        positions, committed_ms = found
        return _Seen(runner, feed, positions, committed_ms, self._rates_of(runner.subscription, positions, now))

    def _facts(self, seen: _Seen, now: float, now_ms: int) -> words.StreamFacts:
        subscription = seen.runner.subscription
        cursor = seen.positions.cursor if seen.positions is not None else None
        position_ms = cursor.position_ms if cursor is not None and not cursor.is_beginning else None
        lag_secs = self._lag_secs(position_ms, now_ms) if position_ms is not None else None
        caught_up = self._caught_up(seen.feed, lag_secs)
        backlog = 0 if caught_up else _backlog(cursor, seen.feed)
        return words.StreamFacts(
            log_type=subscription.stream.log_type,
            destination=subscription.destination,
            now_ms=now_ms,
            position_ms=position_ms,
            lag_secs=0.0 if caught_up else lag_secs,
            caught_up=caught_up,
            backlog_events=backlog,
            eta_secs=_eta_secs(backlog, seen, now),
            advances=_advances(seen, now),
            finished=seen.runner.done and self._job.reading.until_ms is not None,
            missing=missing_of(cursor.gaps) if cursor is not None else (),
            **self._troubles(seen.runner, seen.feed),
        )

    def _rates_of(self, subscription: Subscription, positions: Positions, now: float) -> Rates:
        rates = self._rates.get(subscription)
        if rates is None:
            rates = self._rates[subscription] = Rates(positions.delivered, positions.cursor.seq, now)
        rates.note(positions.delivered, positions.cursor.seq, now)
        return rates

    def _lag_secs(self, position_ms: int, now_ms: int) -> float:
        until_ms = self._job.reading.until_ms
        readable_ms = now_ms - 1000 * self._job.reading.lag_secs if until_ms is None else until_ms
        return max(0.0, (readable_ms - position_ms) / 1000)

    def _caught_up(self, facts: FeedFacts | None, lag_secs: float | None) -> bool:
        """All that there was is delivered. The moments in which it looks for more, and delivers that, belong to it."""
        reading = self._job.reading
        if lag_secs is not None and reading.until_ms is None and lag_secs <= usual_age_secs(reading) - reading.lag_secs:
            return True
        return facts is not None and facts.caught_up and not facts.in_hand

    def _title(self, account: str) -> str:
        parent_name, slash, _ = account.partition("/")
        if not slash:
            return ""
        return next((parent.title_of(account) for parent in self._running.parents if parent.name == parent_name), "")

    # --- what holds it up ----------------------------------------------------------------------------------------------

    def _troubles(self, runner: StreamRunner, facts: FeedFacts | None) -> dict[str, Any]:
        """As ``words.StreamFacts`` names them."""
        error = facts.error if facts is not None else None
        fatal: Exception | None = runner.fatal or self._running.wrong(runner.subscription.destination)
        if fatal is None and facts is not None and facts.final:
            fatal = error  # keys that worked once, and do not any more: the feed goes on asking
        if fatal is not None:
            return {"suspended": str(fatal)}
        if isinstance(error, (StreamUnavailable, PageRefused)):
            return {"refused": str(error)}
        health = health_of(self._destinations[runner.subscription.destination])
        if health.cause:
            return {"away": health.cause, "away_since_ms": health.since_ms}
        if facts is not None and isinstance(error, (RetryLater, FatalError)) and not _is_rate_limit(error):
            return {"duo_away": str(error), "away_since_ms": facts.since_ms}
        return {"failure": runner.failure}


def _by_stream(counts: Mapping[Labels, float]) -> Counter[Labels]:
    found: Counter[Labels] = Counter()
    for labels, count in counts.items():
        found[labels[:3]] += int(count)
    return found


def _is_rate_limit(error: Exception) -> bool:
    return isinstance(error, RetryLater) and error.kind == "rate_limited"


def _eta_secs(backlog: int | None, seen: _Seen, now: float) -> float | None:
    per_second = seen.rates.lately(seen.delivered, now) if seen.rates is not None else 0.0
    return backlog / per_second if backlog and per_second > 0 else None


def _advances(seen: _Seen, now: float) -> bool | None:
    """Whether it moves; None while that cannot be told: it has just begun, or Duo lets nobody call now."""
    feed = seen.runner.feed
    if seen.rates is None or (feed is not None and feed.budget.facts().wait_secs > 0):
        return None
    return now - seen.rates.moved_at < _STILL_SECS


def _backlog(cursor: Cursor | None, facts: FeedFacts | None) -> int | None:
    """How many events of the present window are not delivered, as Duo counts them; None where it has not said."""
    if cursor is None:
        return None
    fetched = facts.fetched if facts is not None else None
    window = cursor if cursor.maxtime_ms is not None or fetched is None else fetched
    if window.maxtime_ms is None:
        return None
    total = window.window_total
    if total is None and fetched is not None and fetched.maxtime_ms == window.maxtime_ms:
        total = fetched.window_total
    return max(0, total - (cursor.window_rows if window is cursor else 0)) if total is not None else None
