"""How fast one endpoint of one account may be called: the budget that all its callers in this process share.

Place in the flow: the feed asks ``reserve`` before each call and says with ``succeeded`` or ``limited`` how Duo answered.
``budgets`` keeps one budget per (credentials, endpoint) and its file. Below it: ``learning`` (which interval) and ``turns``
(another copy). Contract: thread-safe; no I/O and no sleeping; clock and random numbers come from outside, so that hours pass
within a test.

Why it starts without a pause. Duo recommends one call a minute, names 50 a minute elsewhere, and other numbers are reported; an
answer does not say. Starting at one call a minute would make the second page of a backlog a minute late for everybody whose
limit is higher, and one refused call costs nothing but itself. So calls go out at full speed until the first 429, and a server
that never says 429 is never slowed. From the first 429 on, the documented limits are where learning starts.

A reader that has fallen behind another one of its stream (``behind``) calls only while nobody who is current wants to, but for
one call in ``_CURRENT_CALLS``: where the current ones use all that Duo allows, it must not stand still.

Waiting after a 429: as long as Duo asks, with jitter. Where it does not ask, while nothing is known and from the third refusal
in a row on, until the next of ``STEPS_SECS`` after the last answered call: waits that grow by a third to 240 s. Then they begin
again: a lock-out ends in the long waits, while a copy that is crowded out by another one needs tries.

These waits are no ``transforms.process.retry.RetryPolicy``: that spreads tries of something that is away, and knows only how
often it failed. Here each refusal is a measurement. The steps lie just behind the limits that Duo is known to set, so that the
try which is answered says which one holds; a random wait would say nothing.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from transforms.duo.rate_limit.fairness import Fairness
from transforms.duo.rate_limit.rate_estimator import RateEstimator

# Just behind 50 (1.2 s), 30, 15, 10, 6, 4, 3, 2 and 1 calls a minute; the last ones are 240 s apart.
LONGEST_WAIT_SECS = 240.0
STEPS_SECS = (1.22, 2.03, 4.0, 6.1, 10.2, 15.2, 20.3, 30.4, 40.5, 60.8, 90.0, 120.0, 180.0, 240.0, 480.0)
# A current caller that was told to wait is expected back so shortly after its time; until then none that is behind may call.
_EXPECTED_SECS = 1.0
_CURRENT_CALLS = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """What was learnt, for the next start.

    Attributes:
      interval_secs: between two calls. limit_secs: the shortest interval that is believed to be allowed.
      bursts: whether several calls at once are taken. wait_secs: before the next call.
    """

    interval_secs: float
    limit_secs: float
    bursts: bool
    wait_secs: float


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """What people want to know of a budget.

    Attributes:
      interval_secs: between two calls, limit_secs: the shortest that is believed to be allowed; 0 where nothing is limited.
      wait_secs: before the next call. calls, refused: calls of this process, and those that Duo answered with 429.
    """

    interval_secs: float
    limit_secs: float
    wait_secs: float
    calls: int
    refused: int


class RateBudget:
    """The time between calls of one endpoint. Thread-safe."""

    def __init__(
        self,
        least_pause_secs: float = 0.0,
        now: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._least_pause_secs = least_pause_secs
        self._clock = now
        self._uniform = uniform
        self._lock = threading.Lock()
        self._estimator = RateEstimator()
        self._fairness = Fairness(uniform)
        self._clock_read = now()
        self._clock_shift = 0.0
        self._next_at = -math.inf
        self._blocked_until = -math.inf
        self._called_at: float | None = None
        self._answered_at: float | None = None  # when the last answered call went out
        self._refusals = 0  # refusals in a row
        self._refused_from = 0.0  # where the waits of the row are counted from
        self._version = 0
        self._calls = self._refused = 0
        self._expected_until = -math.inf  # a current caller wants to call by then
        self._passed_over: int | None = None  # calls of current callers since one that is behind was refused for their sake

    @property
    def interval_secs(self) -> float:
        """The present time between two calls; 0 means as fast as they are answered."""
        return max(self._estimator.interval_secs, self._least_pause_secs)

    @property
    def version(self) -> int:
        """Grows with what is worth keeping."""
        return self._version

    def facts(self) -> BudgetFacts:
        """How fast it may be called now, for people."""
        with self._lock:
            estimator, wait_secs = self._estimator, max(0.0, self._next_at - self._now())
            limit_secs = estimator.limit_secs if estimator.interval_secs else 0.0
            return BudgetFacts(self.interval_secs, limit_secs, wait_secs, self._calls, self._refused)

    def at_least(self, pause_secs: float) -> None:
        """Sets the user's least pause; of several the longest counts."""
        with self._lock:
            self._least_pause_secs = max(self._least_pause_secs, pause_secs)

    def reserve(self, *, behind: bool = False) -> float:
        """Seconds to wait before asking again; 0 means call now, and this call is counted.

        ``behind``: what is asked for was read for another destination before, and comes behind everything that is current.
        """
        with self._lock:
            now = self._now()
            wait_secs = self._give_way(now) if behind else self._let_pass(now)
            if wait_secs > 0:
                return wait_secs
            self._called_at = now
            self._calls += 1
            self._next_at = now + self._pause()
            return 0.0

    def succeeded(self) -> None:
        """Duo answered."""
        with self._lock:
            now = self._now()
            if self._called_at is None or now < self._blocked_until:
                return  # asked for before a refusal that another thread met: it speaks of the time before
            gap, refusals, self._refusals = self._gap(), self._refusals, 0
            self._answered_at = self._called_at
            was_holding = self._estimator.holding
            self._estimator.answered(gap)
            self._next_at = max(now, self._called_at + self._pause())
            self._share_fairly(refusals, gap, now)
            if self._estimator.holding != was_holding:
                self._version += 1

    def limited(self, retry_after_secs: float | None) -> float:
        """Duo said 429. Nothing may be called for the returned number of seconds."""
        with self._lock:
            now = self._now()
            self._refused += 1
            if self._refusals and now < self._blocked_until:
                # Another thread's call of the same moment was refused, too: that is one refusal, unless it asks for more.
                self._blocked_until = self._next_at = max(self._blocked_until, now + (retry_after_secs or 0.0))
                return self._blocked_until - now
            self._refusals += 1
            if self._refusals == 1:
                self._refused_from = self._answered_at if self._answered_at is not None else now
            self._estimator.refused(self._gap(), self._refusals, now, taking_turns=self._fairness.taken)
            wait = self._own_wait(now) if retry_after_secs is None else self._asked_wait(retry_after_secs)
            interval = self._estimator.interval_secs
            self._estimator.refusal_costs_calls = max(1.0, wait / interval) if interval else 1.0
            self._blocked_until = self._next_at = now + wait
            self._version += 1
            return wait

    # --- over a restart ----------------------------------------------------------------------------------------------

    def pace(self) -> Pace | None:
        """What is worth keeping; None where nothing is limited."""
        with self._lock:
            estimator, wait = self._estimator, max(0.0, self._next_at - self._now())
            if estimator.bounds is not None:
                low, high = estimator.bounds
                interval = high if math.isfinite(high) else max(low, STEPS_SECS[0])
                return Pace(interval, interval, estimator.bursts, wait)
            if not estimator.interval_secs:
                return None
            return Pace(estimator.interval_secs, estimator.limit_secs, estimator.bursts, wait)

    def restore(self, pace: Pace) -> None:
        """Goes on where an earlier process stopped; does nothing where this one has called already."""
        with self._lock:
            if self._called_at is None:
                self._estimator.hold(pace.interval_secs, pace.limit_secs)
                self._estimator.bursts = pace.bursts
                self._next_at = self._now() + pace.wait_secs

    # --- inside (the caller holds the lock) --------------------------------------------------------------------------

    def _give_way(self, now: float) -> float:
        """How long a caller that is behind waits: for the budget, and for a current caller that is about to come back."""
        wait_secs = max(self._next_at, self._expected_until) - now
        if wait_secs > 0:
            self._passed_over = self._passed_over or 0
            return wait_secs
        self._passed_over = None
        return 0.0

    def _let_pass(self, now: float) -> float:
        """How long a current caller waits: for the budget, and now and then for one call of a caller that is behind."""
        if self._next_at > now:
            self._expected_until = self._next_at + _EXPECTED_SECS
            return self._next_at - now
        self._expected_until = -math.inf
        if self._passed_over is None:
            return 0.0
        self._passed_over += 1
        if self._passed_over <= _CURRENT_CALLS:
            return 0.0
        self._passed_over = None
        return 2 * _EXPECTED_SECS

    def _gap(self) -> float:
        """Time between the present call and the last one that was answered."""
        assert self._called_at is not None
        return math.inf if self._answered_at is None else self._called_at - self._answered_at

    def _pause(self) -> float:
        """The interval; uneven where bursts are taken, so that two copies do not fall into step and one meets every refusal."""
        uneven = self._estimator.bursts and self._estimator.holding and self._estimator.interval_secs > self._least_pause_secs
        return self.interval_secs * (self._uniform(0.9, 1.1) if uneven else 1.0)

    def _share_fairly(self, refusals: int, gap: float, now: float) -> None:
        estimator, fairness = self._estimator, self._fairness
        if fairness.crowded_out(refusals, gap, estimator.interval_secs, one_by_one=estimator.holding and not estimator.bursts):
            if not fairness.taken:
                # What was learnt was learnt beside another copy. It rests now and then, and the limit can be seen.
                estimator.forget()
                self._next_at = max(now, now + self._least_pause_secs)
            fairness.begin(now)
        elif fairness.taken and estimator.holding:
            rest = fairness.called(refusals, now, estimator.interval_secs)
            if rest:
                self._next_at = max(self._next_at, now + rest)

    def _asked_wait(self, retry_after_secs: float) -> float:
        """As Duo asks, plus jitter so that copies do not come back together."""
        return retry_after_secs + self._uniform(0.0, max(0.25, min(retry_after_secs * 0.1, 5.0)))

    def _own_wait(self, now: float) -> float:
        window_secs, bounds = self._estimator.take_window(), self._estimator.bounds
        if window_secs:
            return window_secs * self._uniform(1.0, 1.02)
        if bounds is not None and math.isfinite(bounds[1]):
            return max(0.25, self._refused_from + bounds[1] - now) * self._uniform(1.0, 1.01)
        if self._estimator.holding and self._refusals <= 2:
            return max(1.0, self._estimator.interval_secs * self._refusals) * self._uniform(1.0, 1.25)
        return self._step_wait(now)

    def _step_wait(self, now: float) -> float:
        """Until the next of the steps; behind the last one from the first one again."""
        waited = now - self._refused_from
        step = next((secs for secs in STEPS_SECS if secs > waited * 1.1), None)
        if step is None:
            self._refused_from, waited, step = now, 0.0, STEPS_SECS[0]
            if self._estimator.bounds is not None:
                self._estimator.forget()  # refused for minutes: that was no rate
        return (step - waited) * self._uniform(1.0, 1.005)

    def _now(self) -> float:
        """The clock, made never to go back: a wait must not grow by that."""
        read = self._clock()
        if read < self._clock_read:
            self._clock_shift += self._clock_read - read
        self._clock_read = read
        return read + self._clock_shift
