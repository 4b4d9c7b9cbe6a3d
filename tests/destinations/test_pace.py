"""Datagrams are sent so slowly that a receiver's default buffer has room for them; reckoned with a clock of the test's own."""

import random

import pytest

from tests.destinations.peers import destination
from transforms.destinations.udp.pace import Pace, pace_of

# What Linux gives a socket that asks for nothing, less the quarter that it gives back late; and what a datagram costs of it.
ROOM_BYTES = 212_992 * 3 // 4
COST_BYTES = {600: 2_304, 1_400: 2_304, 4_000: 3 * 2_304, 60_000: 41 * 2_304}
DEFAULT = destination(1, "udp").settings.max_events_per_sec


class Clock:
    def __init__(self):
        self.now = 0.0

    def wall_secs(self):
        raise AssertionError("the wall clock can jump")

    def monotonic_secs(self):
        return self.now

    def sleep(self, secs):
        self.now += secs


def sent_at(pace, clock, sizes):
    """The moment at which each datagram leaves."""
    moments = []
    for size in sizes:
        clock.sleep(pace.take(size))
        moments.append(clock.now)
    return moments


@pytest.mark.parametrize("size", COST_BYTES)
def test_a_reader_that_is_not_let_in_for_40_ms_at_any_time_loses_nothing(size):
    clock = Clock()
    moments = sent_at(Pace(DEFAULT, clock), clock, [size] * 3_000)
    most = max(sum(1 for later in moments[at : at + 200] if later < first + 0.040) for at, first in enumerate(moments))
    assert most * COST_BYTES[size] <= ROOM_BYTES


@pytest.mark.parametrize("rate", [1.0, 500.0, 2000.0, 50_000.0])
def test_the_rate_is_kept_in_the_long_run(rate):
    clock = Clock()
    moments = sent_at(Pace(rate, clock), clock, [300] * 2_000)
    assert (2_000 - 50) / rate <= moments[-1] <= 2_020 / rate


def test_a_pause_is_not_saved_up_for_a_burst():
    clock = Clock()
    pace = Pace(2000.0, clock)
    sent_at(pace, clock, [300] * 100)
    clock.sleep(3_600.0)
    moments = sent_at(pace, clock, [300] * 100)
    assert sum(1 for moment in moments if moment == moments[0]) <= 16


def test_a_long_datagram_counts_for_as_many_packets_as_it_needs():
    clock = Clock()
    moments = sent_at(Pace(2000.0, clock), clock, [65_507] * 20)
    assert moments[-1] >= 18 * 45 / 2000


def test_many_senders_have_one_pace_between_them():
    """Eight streams that begin at the same moment must not fill the buffer eight times over."""
    clock = Clock()
    pace = Pace(2000.0, clock)
    due = [0.0] * 8
    moments = []
    while len(moments) < 2_000:
        turn = min(range(8), key=lambda each: (due[each], random.random()))
        clock.now = due[turn]
        due[turn] = clock.now + pace.take(300)
        moments.append(due[turn])
    moments.sort()
    assert moments[-1] >= (2_000 - 50) / 2000.0
    most = max(sum(1 for later in moments[at : at + 200] if later < first + 0.010) for at, first in enumerate(moments))
    assert most * 2_304 <= ROOM_BYTES


def test_a_destination_has_one_pace_at_the_rate_that_was_chosen():
    assert pace_of(destination(1, "udp")) is pace_of(destination(1, "udp"))
    assert pace_of(destination(1, "udp")) is not pace_of(destination(2, "udp"))
    fast = pace_of(destination(1, "udp", max_events_per_sec=1_000_000.0))
    assert max(fast.take(300) for _ in range(40)) < 0.001
