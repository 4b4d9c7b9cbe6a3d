"""The one back-off: how long the waits are, and that they are spread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.process.retry import Backoff, RetryPolicy

secs = st.floats(0, 1000)


@given(secs, secs, secs, st.booleans(), st.integers(1, 10_000), st.none() | st.floats(0, 100_000))
def test_a_wait_lies_between_its_bounds_however_often_it_failed(first, longest, least, immediate, failures, asked):
    wait = RetryPolicy(first, longest, least, immediate).wait_secs(failures, asked)
    assert wait >= 0
    assert wait <= max(longest, 2 * (asked or 0))
    assert wait >= (asked or 0)


def test_waits_double_until_the_longest():
    policy = RetryPolicy(1.0, 10.0)
    longest = [max(policy.wait_secs(failures) for _ in range(2000)) for failures in range(1, 7)]
    assert longest == pytest.approx([1, 2, 4, 8, 10, 10], rel=0.02)


def test_waits_are_spread_from_nothing_to_the_longest():
    waits = [RetryPolicy(8.0, 8.0).wait_secs(1) for _ in range(4000)]
    for quarter in range(4):
        assert 800 < sum(2 * quarter <= wait < 2 * quarter + 2 for wait in waits) < 1200


def test_where_a_try_has_a_price_no_wait_is_shorter_than_the_least():
    assert min(RetryPolicy(2.0, 300.0, least_secs=1.0).wait_secs(1) for _ in range(1000)) >= 1.0


def test_the_first_try_again_may_come_at_once():
    policy = RetryPolicy(1.0, 10.0, immediate_first=True)
    assert policy.wait_secs(1) == 0.0
    assert max(policy.wait_secs(2) for _ in range(1000)) <= 1.0


def test_what_the_other_side_asks_for_is_kept_to_and_not_by_all_at_the_same_moment():
    waits = {RetryPolicy(1.0, 60.0).wait_secs(1, asked_secs=30.0) for _ in range(100)}
    assert min(waits) >= 30.0
    assert max(waits) <= 31.0
    assert len(waits) > 90


def test_a_success_begins_anew():
    backoff = Backoff(RetryPolicy(1.0, 60.0))
    for _ in range(10):
        backoff.failed()
    assert backoff.failures == 10
    backoff.succeeded()
    assert backoff.failed() <= 1.0
