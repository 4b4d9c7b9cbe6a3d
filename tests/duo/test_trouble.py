"""What is said of an error that only a person can mend: once for one occurrence, at ERROR."""

import logging
from collections import Counter

import pytest

from transforms.duo.rate import RateBudget
from transforms.duo.trouble import Trouble
from transforms.errors import BadCredentials, RetryLater
from transforms.events import Stream

WRONG_KEY = BadCredentials("Check ikey, skey and api_host.")


@pytest.fixture
def trouble():
    return Trouble(Stream("main", "auth"), RateBudget(), Counter())


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
