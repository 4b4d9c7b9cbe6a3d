"""What lasts is said when it begins, with another cause, now and then if it should be, and when it is over."""

from __future__ import annotations

import pytest

from transforms.process.log_once import LogOnce, LogOncePerKey


class Clock:
    secs = 100.0

    def wall_secs(self) -> float:
        return self.secs

    def monotonic_secs(self) -> float:
        return self.secs

    def sleep(self, secs: float) -> None:
        self.secs += secs


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_said_once_while_it_lasts(clock):
    trouble = LogOnce(clock=clock)
    said = [trouble.due()]
    clock.sleep(1_000)
    said += [trouble.due(), trouble.due()]

    assert said == [0.0, None, None]


def test_another_cause_is_said_at_once_with_the_time_that_it_lasts(clock):
    trouble = LogOnce(60.0, clock)
    trouble.due("full")
    clock.sleep(5)

    assert trouble.due("read-only") == 5.0
    assert trouble.due("read-only") is None


def test_the_end_is_said_where_the_beginning_was(clock):
    trouble = LogOnce(clock=clock)
    trouble.due("full")
    clock.sleep(7)

    assert trouble.over() == 7.0
    assert trouble.over() is None


def test_after_its_end_it_is_said_anew(clock):
    trouble = LogOnce(clock=clock)
    trouble.due("full")
    trouble.over()
    clock.sleep(1)

    assert trouble.due("full") == 0.0


def test_what_lasts_is_said_again_after_a_minute(clock):
    trouble = LogOnce(60.0, clock)
    said = []
    for _ in range(7):
        said.append(trouble.due())
        clock.sleep(20)

    assert said == [0.0, None, None, 60.0, None, None, 120.0]


def test_what_comes_and_goes_is_said_once_a_minute_and_only_with_its_end(clock):
    trouble = LogOnce(60.0, clock)
    said = []
    for _ in range(7):
        said.append((trouble.due(), trouble.over()))
        clock.sleep(20)

    assert said == [(0.0, 0.0), *[(None, None)] * 2] * 2 + [(0.0, 0.0)]


def test_keys_do_not_know_of_each_other(clock):
    troubles = LogOncePerKey(clock=clock)

    assert [troubles.due("a", "x"), troubles.due("b", "x"), troubles.due("a", "x")] == [0.0, 0.0, None]
    assert troubles.over("a") == 0.0
    assert troubles.over("c") is None
    assert [troubles.due("a", "x"), troubles.due("b", "x")] == [0.0, None]


def test_what_is_remembered_is_bounded_and_nothing_is_said_beyond(clock):
    troubles = LogOncePerKey(most=2, clock=clock)

    assert [troubles.due(key) for key in "abca"] == [0.0, 0.0, None, None]


def test_what_is_left_out_is_counted_in_the_next_line(clock):
    trouble = LogOnce(60.0, clock)
    said = []
    for _ in range(7):
        if trouble.due() is not None:
            said.append(trouble.more())
        clock.sleep(20)

    assert said == ["", " (2 more since the last such line)", " (2 more since the last such line)"]
