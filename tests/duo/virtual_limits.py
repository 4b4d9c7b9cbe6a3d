"""Limits of several kinds in virtual time, and copies that call them: hours of calls with exact counts, in a second or two.

The limits are the bucket of ``pipelines.demo.simulator.rate`` with a clock of its own, and windows, because nobody knows how
Duo counts. Random numbers are seeded: a test that passes always passes.
"""

import heapq
import random
from dataclasses import dataclass, field

from transforms.duo.rate_limit.budget import RateBudget

MINUTE, HOUR = 60.0, 3600.0
LATENCY_SECS = 0.05


@dataclass
class Bucket:
    """CircuitBreakers ``burst`` calls, and gets ``per_minute`` new ones."""

    per_minute: float
    burst: int = 1
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self):
        self.tokens = float(self.burst)

    def allow(self, now):
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class FixedWindow:
    """``calls`` in each window of the clock."""

    calls: int
    secs: float
    window: int = -1
    used: int = 0

    def allow(self, now):
        if int(now / self.secs + 0.3) != self.window:
            self.window, self.used = int(now / self.secs + 0.3), 0
        self.used += 1
        return self.used <= self.calls


@dataclass
class SlidingWindow:
    """``calls`` in any so many seconds."""

    calls: int
    secs: float
    answered: list[float] = field(default_factory=list)

    def allow(self, now):
        self.answered = [at for at in self.answered if at > now - self.secs]
        if len(self.answered) >= self.calls:
            return False
        self.answered.append(now)
        return True


class Unlimited:
    def allow(self, now):
        return True


@dataclass
class Changing:
    """One limit, and another one from some time on."""

    first: object
    then: object
    at: float

    def allow(self, now):
        return (self.first if now < self.at else self.then).allow(now)


@dataclass
class OthersUntil:
    """A bucket from which somebody else takes half until some time."""

    bucket: Bucket
    until: float
    taken_at: float = 0.0

    def allow(self, now):
        while self.taken_at < min(now, self.until):
            self.taken_at += 120 / self.bucket.per_minute
            self.bucket.allow(min(self.taken_at, now))
        return self.bucket.allow(now)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@dataclass
class Copy:
    """One process that always has something to fetch."""

    budget: RateBudget
    calls: list[tuple[float, bool]] = field(default_factory=list)

    def answered(self, since, until=float("inf")):
        return sum(ok for at, ok in self.calls if since <= at < until)

    def refused_share(self, since):
        late = [ok for at, ok in self.calls if at >= since]
        return late.count(False) / len(late)


def run(limit, secs, *, starts=(0.0,), seed=1, retry_after=None):
    """Lets copies call one limit for so long; each begins at its start, one call at a time."""
    clock, numbers = Clock(), random.Random(seed)
    copies = [Copy(RateBudget(0.0, clock, numbers.uniform)) for _ in starts]
    events = [(at, number, None) for number, at in enumerate(starts)]
    heapq.heapify(events)
    while events[0][0] <= secs:
        at, number, answer = heapq.heappop(events)
        clock.now, copy = at, copies[number]
        if answer is None:
            wait = copy.budget.reserve()
            if wait > 0:
                heapq.heappush(events, (at + wait, number, None))
                continue
            arrives = at + LATENCY_SECS / 2
            copy.calls.append((arrives, limit.allow(arrives)))
            heapq.heappush(events, (at + LATENCY_SECS, number, copy.calls[-1][1]))
        else:
            if answer:
                copy.budget.succeeded()
            else:
                copy.budget.limited(retry_after)
            heapq.heappush(events, (at, number, None))
    return copies
