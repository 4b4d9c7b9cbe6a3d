"""What is known of every stream of a running local run: where it is, how fast it moves, what holds it up.

Place in the flow: part of ``observe``, which holds a lock around each call. Contract: looks at the checkpoint store's memory,
the feeds and the runners; reads no file and makes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
from transforms.state.dead_letters.write import MAYBE_UNREAD

_STILL_SECS = 2 * MINUTE_SECS


class Running(Protocol):
    """The part of ``observe.Running`` that is asked here."""

    @property
    def runners(self) -> Sequence[StreamRunner]: ...

    @property
    def parents(self) -> Sequence[Children]: ...

    def wrong(self, destination: str) -> FatalError | None: ...


class _Counts:
    """What is counted of all streams, each by account, log type and destination. Read once for a report."""

    def __init__(self, letters: Mapping[Kind, int]) -> None:
        self.dead_letters: Counter[Labels] = Counter()
        self.not_delivered: Counter[Labels] = Counter()  # dead letters but those that were sent, too
        for kind, count in letters.items():
            labels = (kind.account, kind.log_type, kind.destination)
            self.dead_letters[labels] += count
            self.not_delivered[labels] += count if kind.reason != MAYBE_UNREAD else 0
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
        subscription = runner.subscription
        found, feed = self._store.present(subscription), runner.feed
        facts = feed.facts() if feed is not None else None
        positions, committed_ms = found if found is not None else (None, None)
        cursor = positions.cursor if positions is not None else None
        rates = self._rates_of(subscription, positions, now) if positions is not None else None
        delivered = positions.delivered if positions is not None else 0
        begun = cursor is not None and not cursor.is_beginning
        lag_secs = self._lag_secs(cursor, now_ms) if cursor is not None and begun else None
        caught_up = self._caught_up(facts, lag_secs)
        backlog = 0 if caught_up else _backlog(cursor, facts)
        per_second = rates.lately(delivered, now) if rates is not None else 0.0
        eta_secs = backlog / per_second if backlog and per_second > 0 else None
        missing = missing_of(cursor.gaps) if cursor is not None else ()
        labels = of_stream(subscription)
        said = words.of_stream(
            words.StreamFacts(
                log_type=subscription.stream.log_type,
                destination=subscription.destination,
                now_ms=now_ms,
                position_ms=cursor.position_ms if cursor is not None and begun else None,
                lag_secs=0.0 if caught_up else lag_secs,
                caught_up=caught_up,
                backlog_events=backlog,
                eta_secs=eta_secs,
                advances=_advances(feed.budget.facts().wait_secs if feed is not None else 0.0, rates, now),
                finished=runner.done and self._job.reading.until_ms is not None,
                missing=missing,
                **self._troubles(runner, facts),
            )
        )
        return StreamReport(
            account=subscription.stream.account,
            log_type=subscription.stream.log_type,
            destination=subscription.destination,
            state=said.state,
            words=said.words,
            todo=said.todo,
            position_ms=cursor.position_ms if cursor is not None and begun else None,
            safe_ms=positions.safe.position_ms if positions is not None and not positions.safe.is_beginning else None,
            lag_secs=0.0 if caught_up else lag_secs,
            backlog_events=backlog,
            eta_secs=eta_secs,
            delivered=max(0, delivered - counts.not_delivered[labels]),
            rejected=counts.rejected[labels],
            filtered=counts.filtered[labels],
            rates=rates.per_second(delivered, now) if rates is not None else (),
            oldest_undelivered_ms=facts.oldest_ms if facts is not None else None,
            committed_ms=committed_ms,
            missing=missing,
            dead_letters=counts.dead_letters[labels],
            title=self._title(subscription.stream.account),
        )

    def _rates_of(self, subscription: Subscription, positions: Positions, now: float) -> Rates:
        rates = self._rates.get(subscription)
        if rates is None:
            rates = self._rates[subscription] = Rates(positions.delivered, positions.cursor.seq, now)
        rates.note(positions.delivered, positions.cursor.seq, now)
        return rates

    def _lag_secs(self, cursor: Cursor, now_ms: int) -> float:
        until_ms = self._job.reading.until_ms
        readable_ms = now_ms - 1000 * self._job.reading.lag_secs if until_ms is None else until_ms
        return max(0.0, (readable_ms - cursor.position_ms) / 1000)

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


def _advances(wait_secs: float, rates: Rates | None, now: float) -> bool | None:
    """Whether it moves; None while that cannot be told: it has just begun, or Duo lets nobody call now."""
    if rates is None or wait_secs > 0:
        return None
    return now - rates.moved_at < _STILL_SECS


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
