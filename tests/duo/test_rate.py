"""The rate budget in virtual time: hours of calls against limits of several kinds, with exact counts, in a second or two.

The limits are the bucket of ``pipelines.demo.simulator.rate`` with a clock of its own, and windows, because nobody knows how
Duo counts. Random numbers are seeded: a test that passes always passes.
"""

import heapq
import random
import threading
from dataclasses import dataclass, field

import pytest

from transforms.duo.rate import LONGEST_WAIT_SECS, RateBudget

MINUTE, HOUR = 60.0, 3600.0
LATENCY_SECS = 0.05


@dataclass
class Bucket:
    """Holds ``burst`` calls, and gets ``per_minute`` new ones."""

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


# --- alone: uses the limit, and seldom meets it ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("secs", [5 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR], ids=["5min", "10min", "1h", "6h"])
@pytest.mark.parametrize(("per_minute", "burst"), [(1, 1), (10, 1), (50, 1), (120, 20)])
def test_at_least_95_percent_of_a_limit_are_used_and_at_most_1_percent_refused_after_two_minutes(per_minute, burst, secs, seed):
    (copy,) = run(Bucket(per_minute, burst), secs, seed=seed)

    assert copy.answered(0) >= 0.95 * per_minute * secs / 60
    assert copy.refused_share(2 * MINUTE) <= 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "numbers", "per_minute"),
    [
        (Bucket, (3,), 3),
        (Bucket, (7,), 7),
        (Bucket, (33,), 33),
        (Bucket, (120,), 120),
        (Bucket, (2, 2), 2),
        (Bucket, (10, 10), 10),
        (Bucket, (50, 50), 50),
        (FixedWindow, (1, 60), 1),
        (FixedWindow, (10, 60), 10),
        (FixedWindow, (50, 60), 50),
        (FixedWindow, (20, 10), 120),
        (SlidingWindow, (50, 60), 50),
        (SlidingWindow, (20, 10), 120),
    ],
)
def test_limits_that_nobody_documents_are_learnt_however_they_are_counted(kind, numbers, per_minute, seed):
    (copy,) = run(kind(*numbers), 2 * HOUR, seed=seed)

    assert copy.answered(HOUR) >= 0.94 * per_minute * 60
    assert copy.refused_share(10 * MINUTE) <= 0.015


def test_a_server_without_a_limit_is_never_waited_for():
    (copy,) = run(Unlimited(), 10 * MINUTE)

    assert copy.answered(0) >= 10 * MINUTE / LATENCY_SECS - 2
    assert copy.budget.pace() is None


def test_one_refusal_out_of_a_hiccup_does_not_slow_a_server_without_a_limit_for_long():
    clock = Clock()
    budget = RateBudget(0.0, clock, random.Random(1).uniform)
    for _ in range(20):
        assert budget.reserve() == 0
        clock.now += LATENCY_SECS
        budget.succeeded()
    assert budget.reserve() == 0
    clock.now += budget.limited(None)
    began, calls = clock.now, 0
    while calls < 200:
        clock.now += budget.reserve()
        if budget.reserve() == 0:
            clock.now += LATENCY_SECS
            budget.succeeded()
            calls += 1

    assert clock.now - began < 1.1 * 200 * LATENCY_SECS


def test_a_limit_that_is_lowered_is_obeyed():
    (copy,) = run(Changing(Bucket(50), Bucket(10), HOUR), 6 * HOUR)

    assert copy.answered(HOUR) >= 0.9 * 10 * 300
    assert copy.refused_share(4 * HOUR) <= 0.01


def test_a_limit_that_is_raised_is_found():
    (copy,) = run(Changing(Bucket(10), Bucket(50), HOUR), 8 * HOUR)

    assert copy.answered(7 * HOUR) >= 0.95 * 50 * 60


def test_where_each_refusal_costs_a_minute_they_are_much_rarer():
    (copy,) = run(Bucket(50), 4 * HOUR, retry_after=60.0)

    assert copy.answered(HOUR) >= 0.95 * 50 * 180
    assert copy.refused_share(HOUR) <= 0.001


# --- two copies with one credential ------------------------------------------------------------------------------------


def shares_of_two(limit, late, seed):
    """The first copy's share, and both copies' part of the limit, in the last four of seven hours together."""
    first, second = run(limit, late + 7 * HOUR, starts=(0.0, late), seed=seed)
    a, b = first.answered(late + 3 * HOUR), second.answered(late + 3 * HOUR)
    return a / (a + b), (a + b) / (limit.per_minute * 240)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("per_minute", "burst"), [(10, 10), (50, 20), (120, 20)])
def test_a_copy_that_joins_gets_its_half_of_a_bucket_and_nothing_is_left_unused(per_minute, burst, seed):
    share, used = shares_of_two(Bucket(per_minute, burst), HOUR, seed)

    assert 0.4 <= share <= 0.6
    assert used >= 0.95


@pytest.mark.parametrize("seed", range(5))
def test_two_copies_that_start_together_get_their_halves(seed):
    share, used = shares_of_two(Bucket(120, 20), 0.013, seed)

    assert 0.4 <= share <= 0.6
    assert used >= 0.95


@pytest.mark.parametrize("late", [0.013, HOUR], ids=["together", "an hour later"])
@pytest.mark.parametrize("per_minute", [10, 50])
def test_where_calls_are_counted_one_by_one_copies_take_turns_and_neither_starves(per_minute, late):
    results = [shares_of_two(Bucket(per_minute), late, seed) for seed in range(8)]
    shares = [share for share, _ in results]

    assert 0.4 <= sum(shares) / len(shares) <= 0.6
    assert min(shares) >= 0.1
    assert max(shares) <= 0.9
    assert min(used for _, used in results) >= 0.5


def test_a_copy_that_is_alone_again_takes_the_whole_limit():
    (copy,) = run(OthersUntil(Bucket(50, 20), 2 * HOUR), 8 * HOUR)

    assert copy.answered(HOUR, 2 * HOUR) <= 0.6 * 50 * 60
    assert copy.answered(7 * HOUR) >= 0.95 * 50 * 60


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


# --- waiting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def budget(clock):
    return RateBudget(0.0, clock, random.Random(1).uniform)


def call(budget, clock, answer, retry_after=None):
    """Waits as long as it must and makes one call; the wait that a refusal asked for."""
    while (wait := budget.reserve()) > 0:
        clock.now += wait
    if answer:
        budget.succeeded()
        return 0.0
    return budget.limited(retry_after)


@pytest.mark.parametrize("asked", [0.0, 1.0, 30.0, 600.0])
def test_as_long_as_duo_asks_nothing_is_called_and_not_much_longer(budget, clock, asked):
    call(budget, clock, answer=True)
    wait = call(budget, clock, answer=False, retry_after=asked)

    assert asked <= wait <= asked + max(0.25, min(asked * 0.1, 5.0))
    clock.now += wait - 0.001
    assert budget.reserve() > 0
    clock.now += 0.002
    assert budget.reserve() == 0


def test_without_retry_after_the_waits_of_a_lock_out_grow_to_240_seconds(budget, clock):
    call(budget, clock, answer=True)
    waits = [call(budget, clock, answer=False) for _ in range(15)]

    assert waits[0] < 2
    assert max(waits) == pytest.approx(LONGEST_WAIT_SECS, rel=0.05)
    assert waits.index(max(waits)) == 14


def test_after_the_longest_wait_of_a_lock_out_short_ones_come_again(budget, clock):
    call(budget, clock, answer=True)
    waits = [call(budget, clock, answer=False) for _ in range(17)]

    assert waits[15] < 2


def test_copies_do_not_come_back_at_the_same_moment():
    waits = []
    for seed in range(5):
        clock = Clock()
        budget = RateBudget(0.0, clock, random.Random(seed).uniform)
        call(budget, clock, answer=True)
        waits.append(call(budget, clock, answer=False, retry_after=60.0))

    assert len(set(waits)) == 5


def test_the_users_pause_is_the_least_one(clock):
    budget = RateBudget(5.0, clock)
    assert budget.reserve() == 0
    clock.now += 0.1
    budget.succeeded()

    assert budget.reserve() == pytest.approx(4.9)
    budget.at_least(2.0)
    assert budget.interval_secs == 5.0


def test_polls_of_a_stream_that_has_caught_up_do_not_make_the_pace_faster():
    (copy,) = run(Bucket(10), HOUR)
    found, clock = copy.budget.interval_secs, copy.budget._clock
    for _ in range(2_000):
        clock.now += 120
        assert copy.budget.reserve() == 0
        copy.budget.succeeded()

    assert copy.budget.interval_secs == found


def test_a_poll_that_is_refused_once_a_while_does_not_make_it_slower(budget, clock):
    for number in range(50):
        clock.now += 120
        call(budget, clock, answer=number % 10 != 9)

    assert budget.interval_secs == 0


def test_a_clock_that_goes_back_makes_no_wait_longer(budget, clock):
    clock.now = 1_000_000.0
    call(budget, clock, answer=True)
    wait = call(budget, clock, answer=False, retry_after=30.0)
    clock.now = 10.0

    assert budget.reserve() == pytest.approx(wait)
    clock.now += wait + 0.001
    assert budget.reserve() == 0


def test_a_clock_that_jumps_ahead_lets_one_call_go(clock):
    (copy,) = run(Bucket(10), HOUR)
    budget, clock = copy.budget, copy.budget._clock
    clock.now += 86_400

    assert budget.reserve() == 0
    budget.succeeded()
    assert budget.reserve() == pytest.approx(6, rel=0.1)


# --- threads -----------------------------------------------------------------------------------------------------------


def test_of_many_threads_one_gets_each_call(clock):
    budget = RateBudget(1.0, clock)
    gone, start = [], threading.Barrier(8)

    def ask():
        start.wait()
        if budget.reserve() == 0:
            gone.append(1)

    for second in range(20):
        clock.now = second * 1.001
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(gone) == second + 1


def test_calls_of_several_threads_that_are_refused_together_are_one_refusal():
    (copy,) = run(Bucket(10), HOUR)
    budget, clock = copy.budget, copy.budget._clock
    clock.now += budget.reserve()
    budget.reserve()
    wait = budget.limited(None)
    after_one = budget.interval_secs
    clock.now += 0.01

    assert budget.limited(None) == pytest.approx(wait - 0.01)
    assert budget.limited(90.0) == pytest.approx(90.0)
    assert budget.interval_secs == after_one


def test_an_answer_that_was_asked_for_before_a_refusal_does_not_end_its_wait(budget, clock):
    call(budget, clock, answer=True)
    call(budget, clock, answer=False, retry_after=60.0)
    budget.succeeded()

    assert budget.reserve() >= 60.0
