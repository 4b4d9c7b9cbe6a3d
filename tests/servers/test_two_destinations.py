"""One log goes to two SIEMs as real processes see it: the one that is there does not notice that the other one is away."""

import pytest

from tests.servers.two_destinations import one_away

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_a_siem_that_is_away_delays_the_other_one_by_nothing_and_costs_duo_what_it_fetches_again(tmp_path):
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    after_secs = 15.0
    two = one_away(tmp_path / "two", away_secs=20, after_secs=after_secs)
    one = one_away(tmp_path / "one", away_secs=20, after_secs=after_secs, destinations=["here"])

    assert (two.lost, two.repeated) == (0, 0)
    assert two.median_delay_secs <= one.median_delay_secs + 0.5
    assert two.most_delay_secs <= one.most_delay_secs + 2.0
    assert two.calls_away <= one.calls_away * 1.2 + 2
    # What it missed is a thousand events, so two pages; the rest is its meeting the other one. Until it is there, the log is
    # read on, for as long as that takes on this machine.
    longer = max(1.0, two.caught_up_secs / after_secs)
    assert two.calls_after <= one.calls_after * longer * 1.2 + 6
