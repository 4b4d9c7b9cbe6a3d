"""Windows end behind Duo's now, however wrong this machine's clock is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import now_ms
from transforms.duo.fetch.duo_clock import DuoClock
from transforms.duo.fetch.feed import PageFeed
from transforms.settings import Reading
from transforms.state.cursor import Cursor

START_SECS = 1_700_000_000.0


class Machine:
    """A clock whose time of day is ``ahead_secs`` ahead of Duo's."""

    def __init__(self, ahead_secs: float = 0.0) -> None:
        self.ahead_secs = ahead_secs
        self.duo_secs = START_SECS
        self._awake_secs = 1_000.0

    def wall_secs(self) -> float:
        return self.duo_secs + self.ahead_secs

    def monotonic_secs(self) -> float:
        return self._awake_secs

    def sleep(self, secs: float) -> None:
        self.duo_secs += secs
        self._awake_secs += secs

    def suspend(self, secs: float) -> None:
        self.duo_secs += secs


def answered(clock: DuoClock, machine: Machine, *, times: int = 1, took_secs: float = 0.0) -> None:
    for _ in range(times):
        machine.sleep(1.0)
        clock.note(machine.ahead_secs + took_secs)


def off_secs(clock: DuoClock, machine: Machine) -> float:
    return clock.now_ms() / 1000 - machine.duo_secs


@pytest.mark.parametrize("ahead_secs", [-240, -10, 10, 240])
def test_after_one_answer_the_present_is_duos(ahead_secs):
    machine = Machine(ahead_secs)
    clock = DuoClock(machine)
    before = off_secs(clock, machine)
    answered(clock, machine)
    machine.sleep(120)

    assert before == ahead_secs
    assert abs(off_secs(clock, machine)) < 0.01


def test_a_few_seconds_are_nobodys_fault():
    machine = Machine(1.5)
    clock = DuoClock(machine)
    answered(clock, machine, times=5, took_secs=2.0)

    assert off_secs(clock, machine) == pytest.approx(1.5, abs=0.01)


def test_one_slow_or_odd_answer_changes_nothing():
    machine = Machine(240)
    clock = DuoClock(machine)
    answered(clock, machine, times=4)
    clock.note(240 + 55)
    clock.note(-200)

    assert abs(off_secs(clock, machine)) < 0.01


def test_a_date_that_a_proxy_made_up_is_not_believed_but_duos_refusal_is():
    machine = Machine(0)
    clock = DuoClock(machine)
    clock.note(86_400)
    clock.note(None)
    believed = off_secs(clock, machine)
    machine.ahead_secs = -3_600
    clock.note(-3_600, refused=True)

    assert believed == pytest.approx(0, abs=0.01)
    assert abs(off_secs(clock, machine)) < 0.01

    machine.ahead_secs = 0
    clock.note(0)

    assert abs(off_secs(clock, machine)) < 0.01


def test_a_clock_that_is_set_back_does_not_move_the_present():
    machine = Machine(0)
    clock = DuoClock(machine)
    answered(clock, machine, times=5)
    machine.ahead_secs = -3_600
    machine.sleep(600)

    assert abs(off_secs(clock, machine)) < 0.01


def test_after_a_suspension_the_machines_time_counts_until_duo_answers():
    machine = Machine(0)
    clock = DuoClock(machine)
    answered(clock, machine, times=5)
    machine.suspend(8 * 3_600)

    assert abs(off_secs(clock, machine)) < 0.01


@given(st.lists(st.tuples(st.sampled_from(["answer", "sleep", "suspend", "jump"]), st.floats(-280, 280)), max_size=30))
def test_after_five_answers_the_present_is_duos_whatever_happened_before(happened):
    machine = Machine()
    clock = DuoClock(machine)
    for what, secs in happened:
        if what == "jump":
            machine.ahead_secs = secs
        elif what == "sleep":
            machine.sleep(abs(secs))
        elif what == "suspend":
            machine.suspend(abs(secs))
        else:
            answered(clock, machine)
    answered(clock, machine, times=5)

    assert abs(off_secs(clock, machine)) <= 5.01


@pytest.mark.parametrize("ahead_secs", [240, -240])
def test_a_feed_reads_up_to_so_far_behind_duos_now(account, simulator, eventually, ahead_secs):
    simulator.faults.add("clock_skew", "auth", times=None, secs=-ahead_secs)
    feed = PageFeed(account, "auth", Reading(start_days=1, poll_interval_secs=0.2, lag_secs=20))
    try:
        feed.seek(Cursor(now_ms() - 86_400_000))
        eventually(lambda: len(simulator.calls) >= 3)
        settled = feed.settled_cursor
        assert settled is not None
        duo_ms = now_ms() - 1000 * ahead_secs
        ends_ms = [int(dict(call.params)["maxtime"]) for call in list(simulator.calls)]
    finally:
        feed.close()

    assert (settled.end_ms or 0) <= duo_ms - 19_000
    assert all(end_ms <= duo_ms - 19_000 for end_ms in ends_ms[1:])


def test_a_wrong_date_that_keeps_everything_from_being_asked_is_not_believed_for_ever():
    machine = Machine()
    clock = DuoClock(machine)
    answered(clock, machine, times=5)
    clock.note(300 * 86_400.0, refused=True)
    misled = off_secs(clock, machine)
    machine.sleep(1_000)

    assert misled < -299 * 86_400
    assert abs(off_secs(clock, machine)) < 0.01
