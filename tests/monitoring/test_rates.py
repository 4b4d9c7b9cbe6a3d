"""How fast a stream is: from totals that are noted once a minute, and whenever somebody looks."""

from pipelines.monitoring.rates import MINUTES, Rates


def test_each_minute_has_its_own_rate_the_newest_last():
    rates = Rates(1_000, 1, 0.0)
    rates.note(1_600, 2, 60.0)
    rates.note(1_660, 3, 120.0)
    assert rates.per_second(1_660, 120.0) == (10.0, 1.0)


def test_the_present_minute_counts_as_soon_as_it_says_something():
    rates = Rates(0, 1, 0.0)
    rates.note(600, 2, 60.0)
    assert rates.per_second(604, 62.0) == (10.0,)
    assert rates.per_second(700, 70.0) == (10.0, 10.0)


def test_looking_more_often_changes_nothing():
    rates = Rates(0, 1, 0.0)
    for second in range(61):
        rates.note(10 * second, second, float(second))
    assert rates.per_second(600, 60.0) == (10.0,)


def test_a_look_that_comes_late_does_not_make_a_rate_too_high():
    """A main loop that was held up for five minutes, or a machine that was asleep."""
    rates = Rates(0, 1, 0.0)
    rates.note(3_000, 2, 300.0)
    assert rates.per_second(3_000, 300.0) == (10.0,)


def test_an_hour_is_kept_and_no_more():
    rates = Rates(0, 1, 0.0)
    for minute in range(1, 200):
        rates.note(60 * minute * minute, minute, 60.0 * minute)
    kept = rates.per_second(60 * 199 * 199, 60.0 * 199)
    assert len(kept) == MINUTES
    assert kept[-1] == 199**2 - 198**2


def test_what_is_to_come_is_reckoned_from_the_last_minutes_and_not_from_the_first():
    rates = Rates(0, 1, 0.0)
    for minute in range(1, 11):
        rates.note(6_000 * minute, minute, 60.0 * minute)
    rates.note(60_000 + 60, 11, 660.0)
    assert rates.lately(60_000 + 120, 720.0) == 1.0


def test_nothing_is_reckoned_from_seconds():
    assert Rates(0, 1, 0.0).lately(1_000_000, 1.0) == 0.0


def test_whether_it_moves_is_told_by_its_position_and_not_by_events():
    """A quiet log moves on without any."""
    rates = Rates(0, 1, 0.0)
    rates.note(0, 2, 60.0)
    assert rates.moved_at == 60.0
    rates.note(0, 2, 600.0)
    assert rates.moved_at == 60.0
