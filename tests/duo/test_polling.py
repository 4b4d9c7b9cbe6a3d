"""How often a stream looks for new events where nobody says: as often as is allowed, and no event waits for long."""

import pytest

from tests.duo.freshness import measured
from transforms.duo.rate_limit.polling import automatic_poll_secs


@pytest.mark.parametrize(
    ("allowed_secs", "endpoints", "secs"),
    [(0, 4, 15), (1.2, 4, 15), (30.4, 4, 30.4), (60.8, 4, 60), (240, 4, 60), (0, 60, 30), (0, 4000, 60), (45, 60, 45)],
)
def test_it_is_as_often_as_duo_allows_within_bounds_and_less_often_for_many(allowed_secs, endpoints, secs):
    assert automatic_poll_secs(allowed_secs, endpoints) == secs


def test_at_one_call_a_minute_nineteen_of_twenty_events_wait_for_a_minute_at_most():
    found = measured(per_minute=1, poll_interval_secs=None, hours=3)

    assert found.p95_secs <= 60
    assert found.refused <= 15  # while the limit is learnt, and a try now and then


def test_where_duo_allows_more_events_come_within_seconds_and_nothing_is_refused():
    found = measured(per_minute=50, poll_interval_secs=None, hours=1)

    assert found.worst_secs <= 16
    assert found.refused == 0
    assert found.calls <= 60 * 4 + 2


def test_a_number_that_was_set_is_kept_whatever_duo_allows():
    found = measured(per_minute=None, poll_interval_secs=120, hours=2)

    assert found.calls <= 2 * 30 + 2
