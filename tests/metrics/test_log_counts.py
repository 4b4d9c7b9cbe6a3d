"""Lines of the log are counted by their level and code."""

import logging

import pytest

from transforms.metrics.catalog import LOG_MESSAGES
from transforms.metrics.log_counts import LogCounts
from transforms.metrics.registry import METRICS
from transforms.notices import events
from transforms.notices.notice import tell

LOGGER = logging.getLogger("duologsync.test")


@pytest.fixture
def counting(caplog):
    caplog.set_level(logging.DEBUG)
    counts = LogCounts()
    counts.attach()
    yield
    counts.detach()


def test_what_has_a_code_is_counted_under_it_and_the_rest_by_its_level(counting):
    tell(LOGGER, events.DEAD_LETTERS, "once")
    tell(LOGGER, events.DEAD_LETTERS, "and again")
    LOGGER.info("a line")
    LOGGER.debug("a line that the log does not show")
    assert METRICS.of(LOG_MESSAGES) == {("error", events.DEAD_LETTERS.code): 2, ("info", ""): 1}


def test_nothing_is_counted_any_more_once_the_run_is_over(counting):
    counts = LogCounts()
    counts.attach()
    counts.detach()
    LOGGER.info("a line")
    assert METRICS.of(LOG_MESSAGES) == {("info", ""): 1}, "by the other one only"
