"""The program and a SIEM as processes that are killed, stopped, cut off from each other, and die together: nothing is lost."""

import random

import pytest

from tests.proof.chaos import torment


@pytest.mark.servers
def test_processes_that_are_tormented_lose_nothing(tmp_path):
    outcome = torment(tmp_path, 25.0, random.SystemRandom().randrange(2**31), backlog=8_000)

    assert not outcome.wrong, f"{outcome}\n{outcome.log[-3000:]}"
    assert outcome.lost == 0, f"{outcome}\n{outcome.log[-3000:]}"
    assert outcome.blows.total() >= 4, outcome
