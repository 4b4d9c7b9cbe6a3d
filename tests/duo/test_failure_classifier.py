"""What is said of an error that only a person can mend: once for one occurrence, at ERROR."""

import logging
from dataclasses import replace

import pytest

from transforms.coders import Stream
from transforms.duo.fetch.failure_classifier import FailureClassifier
from transforms.duo.position.paging import Step
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import BadCredentials, RetryLater
from transforms.metrics.reading import ReadingNotes
from transforms.records import Subscription
from transforms.state.cursor import Cursor, Gap

WRONG_KEY = BadCredentials("Check ikey, skey and api_host.")


@pytest.fixture
def trouble():
    return FailureClassifier(Stream("main", "auth"), RateBudget(), ReadingNotes(Subscription(Stream("main", "auth"), "siem")))


def levels(caplog):
    return [
        record.levelno for record in caplog.records if "Check ikey" in record.getMessage() and record.levelno > logging.DEBUG
    ]


def test_keys_that_never_worked_are_left_to_the_reader_to_tell_to_whom_they_are_raised(trouble, caplog):
    caplog.set_level(logging.DEBUG)
    trouble.failed(WRONG_KEY)

    assert levels(caplog) == []
    assert "Check ikey" in caplog.text  # for whoever looks closer


def test_keys_that_stop_working_while_running_are_an_error_that_is_told_once(trouble, caplog):
    trouble.over()
    for _ in range(10):
        trouble.failed(WRONG_KEY)

    assert levels(caplog) == [logging.ERROR]


def test_keys_that_are_refused_again_after_they_worked_are_told_again(trouble, caplog):
    trouble.over()
    trouble.failed(WRONG_KEY)
    trouble.over()
    trouble.failed(WRONG_KEY)

    assert levels(caplog) == [logging.ERROR, logging.ERROR]


def test_what_passes_by_itself_stays_a_warning(trouble, caplog):
    trouble.failed(RetryLater("Check ikey is not meant here.", kind="network"))

    assert levels(caplog) == [logging.WARNING]


def test_what_comes_and_goes_fills_no_log_and_what_stays_is_told_all_the_same(caplog):
    caplog.set_level(logging.INFO)
    clock = SteppedClock()
    stream = Stream("main", "auth")
    trouble = FailureClassifier(stream, RateBudget(), ReadingNotes(Subscription(stream, "siem")), clock)
    for _ in range(30):  # every second call fails
        trouble.failed(RetryLater("Duo answered 502.", kind="server_error"))
        trouble.over()
        clock.now += 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    for _ in range(10):
        trouble.failed(RetryLater("Duo answered 502.", kind="server_error"))
        clock.now += 10
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


class SteppedClock:
    now = 1000.0

    def monotonic_secs(self):
        return self.now

    wall_secs = monotonic_secs


def window(**changes):
    return Step([], Cursor(1_700_000_000_000, seq=1), window_done=True, **changes)


def test_an_overlap_that_is_shortened_is_counted_each_time_and_told_once_while_it_lasts(trouble, caplog):
    for shortened_ms in (5_000, 9_000, 0, 7_000):
        trouble.shown_by(window(shortened_ms=shortened_ms))

    assert trouble._notes.counts["overlap_shortened"] == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "overlap_max_rows" in caplog.text


def test_missing_events_are_counted_each_time_and_told_once_while_windows_differ(trouble, caplog):
    for counted in ((9, 3), (9, 4), (3, 3), (2, 3), (9, 3)):
        trouble.shown_by(window(counted=counted))

    assert (trouble._notes.counts["missing"], trouble._notes.counts["windows_that_differ"]) == (17, 4)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_a_gap_that_is_given_up_is_an_error(trouble, caplog):
    gap = Gap(1_700_000_000_000, 1_700_000_060_000, 7, tries=5)
    trouble.shown_by(replace(window(gap=gap), window_done=False))

    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "7 events more from 2023-11-14 22:13:20 UTC" in caplog.text
