"""The rate budget: how long a refusal is waited out, clocks that go wrong, and threads that share it. Virtual time."""

import random
import threading

import pytest

from tests.duo.virtual_limits import HOUR, Bucket, Clock, run
from transforms.duo.rate_limit.budget import LONGEST_WAIT_SECS, RateBudget

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
