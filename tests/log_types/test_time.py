"""Time: the host's zone, daylight saving and the ends of years never move an event; nor do they split or stretch a window."""

import time
from datetime import datetime, timezone

import pytest

from transforms.duo.log_types.values import iso_to_ms
from transforms.duo.position.windows import DAY_MS, Call, next_call
from transforms.settings import Reading
from transforms.state.cursor import Cursor

READING = Reading(poll_interval_secs=120, lag_secs=120)


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp() * 1000)


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def host_zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("2025-12-31T23:59:59.999999+00:00", ms(2026, 1, 1) - 1),
        ("2026-01-01T00:00:00+00:00", ms(2026, 1, 1)),
        ("2026-12-31T19:00:00-05:00", ms(2027, 1, 1)),
        ("2024-02-29T12:00:00.5+00:00", ms(2024, 2, 29, 12) + 500),
        # New York's clocks go forward at 07:00 UTC on 8 March 2026 and back at 06:00 UTC on 1 November 2026.
        ("2026-03-08T06:59:59.999+00:00", ms(2026, 3, 8, 7) - 1),
        ("2026-03-08T07:00:00+00:00", ms(2026, 3, 8, 7)),
        ("2026-11-01T05:30:00+00:00", ms(2026, 11, 1, 5, 30)),
        ("2026-11-01T06:30:00+00:00", ms(2026, 11, 1, 6, 30)),
    ],
)
@pytest.mark.usefixtures("host_zone")
def test_an_events_time_is_the_same_on_every_host(text, expected_ms):
    assert iso_to_ms(text) == expected_ms


@pytest.mark.parametrize(
    "moment_ms", [ms(2026, 3, 8, 7), ms(2026, 11, 1, 6), ms(2027, 1, 1)], ids=["spring", "autumn", "new year"]
)
@pytest.mark.usefixtures("host_zone")
def test_windows_go_on_without_a_gap_over_daylight_saving_and_new_year(moment_ms):
    cursor = Cursor(moment_ms - 60_000, end_ms=moment_ms - 60_000)
    call = next_call(cursor, moment_ms + 180_000, READING)

    assert isinstance(call, Call)
    assert (call.mintime_ms, call.maxtime_ms) == (moment_ms - 60_000, moment_ms + 60_000)


def test_a_clock_that_jumps_back_waits_instead_of_asking_backward_and_skips_nothing():
    cursor = Cursor(ms(2026, 6, 1), end_ms=ms(2026, 6, 1))
    jumped = next_call(cursor, ms(2026, 6, 1) - DAY_MS, READING)
    later = next_call(cursor, ms(2026, 6, 2), READING)

    assert not isinstance(jumped, Call)
    assert isinstance(later, Call)
    assert later.mintime_ms == ms(2026, 6, 1)
