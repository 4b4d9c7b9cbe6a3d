"""The last lines of the log: what is kept of them, and what is not."""

import logging

import pytest

from pipelines.monitoring.log_tail import LINES, LogTail
from transforms.notices import program
from transforms.notices.notice import tell

LOGGER = logging.getLogger("duologsync.test")


@pytest.fixture
def tail():
    LOGGER.setLevel(logging.DEBUG)
    tail = LogTail()
    tail.attach()
    yield tail
    tail.detach()
    LOGGER.setLevel(logging.NOTSET)


def test_the_newest_are_kept_in_their_order(tail):
    for number in range(LINES + 50):
        LOGGER.info("line %d", number)
    assert [line.message for line in tail.lines()] == [f"line {number}" for number in range(50, LINES + 50)]


def test_a_notice_has_its_code_beside_its_text(tail):
    tell(LOGGER, program.NO_STATUS_PAGE, "There is no status page: %s", "no port")
    (line,) = tail.lines()
    assert (line.level, line.code, line.message) == ("WARNING", program.NO_STATUS_PAGE.code, "There is no status page: no port")


def test_what_only_a_developer_wants_is_left_to_the_log(tail):
    LOGGER.debug("in full: %s", "an event")
    assert tail.lines() == ()


def test_no_traceback_is_kept(tail):
    LOGGER.error("a bug", exc_info=ValueError("the content of an event"))
    (line,) = tail.lines()
    assert line.message == "a bug"


def test_one_line_stays_one_line_and_a_long_one_is_cut(tail):
    LOGGER.info("%s", "a\nb\x1b[2J\u202e")
    LOGGER.info("%s", "x" * 100_000)
    first, second = tail.lines()
    assert first.message == "a\\nb\\x1b[2J\\u202e"
    assert len(second.message) < 2_000


def test_a_record_whose_arguments_do_not_fit_ends_nothing(tail):
    tail.handle(logging.LogRecord("duologsync.test", logging.INFO, __file__, 1, "%d", ("no number",), None))
    assert tail.lines() == ()


def test_nothing_is_kept_after_the_end(tail):
    tail.detach()
    LOGGER.info("too late")
    assert tail.lines() == ()
