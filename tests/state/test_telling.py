"""What the log says of dead letters: each is counted once, and a poisoned stream fills no log."""

import logging
from collections import Counter

import pytest

from transforms.state.dead_letters.telling import Telling


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic_secs(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def lines(caplog):
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    return [text.partition(": ")[2].removesuffix(" [DLS-E001]") for text in texts]


def test_the_first_of_a_reason_is_told_at_once_and_what_follows_once_a_minute(clock, caplog):
    told = Telling("/var/dead", clock)
    for _ in range(90):  # a bundle each second
        told.kept(Counter(oversize=1))
        clock.now += 1
    told.tell_rest()
    assert lines(caplog) == ["1 event (1 oversize).", "60 events (60 oversize).", "29 events (29 oversize)."]


def test_another_reason_is_told_at_once_with_all_that_is_untold(clock, caplog):
    told = Telling("/var/dead", clock)
    told.kept(Counter(oversize=1))
    told.kept(Counter(oversize=2))
    told.kept(Counter(oversize=1, not_json=1000))
    for _ in range(10):
        told.kept(Counter(not_json=1))
        told.kept(Counter(oversize=1))
    assert lines(caplog) == ["1 event (1 oversize).", "1,003 events (1,000 not_json, 3 oversize)."]


def test_where_nothing_is_untold_nothing_is_told(clock, caplog):
    told = Telling("/var/dead", clock)
    told.kept(Counter())
    told.tell_rest()
    assert lines(caplog) == []
