"""One caller learns a limit that nobody documents: it uses nearly all of it and seldom meets it. Virtual time."""

import random

import pytest

from tests.duo.virtual_limits import (
    HOUR,
    LATENCY_SECS,
    MINUTE,
    Bucket,
    Changing,
    Clock,
    FixedWindow,
    SlidingWindow,
    Unlimited,
    run,
)
from transforms.duo.rate_limit.budget import RateBudget


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
