"""Real processes that are killed, cut off and restarted in the middle of their work: nothing is lost, and little repeats."""

import pytest

from pipelines import exit_codes
from tests.servers import scenarios
from tests.servers.scenarios import most_in_a_bundle

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_kill_9_at_twenty_random_moments_loses_nothing_and_repeats_at_most_a_bundle_each(tmp_path):
    outcome = scenarios.killed_while_draining(tmp_path)

    assert outcome.lost == 0
    assert outcome.worst_repeat <= most_in_a_bundle("auth"), outcome.seed
    assert outcome.exit_codes == [exit_codes.OK]
    assert "Traceback" not in outcome.log


def test_what_was_read_when_asked_to_end_is_delivered_and_committed(tmp_path):
    outcome = scenarios.asked_to_end_while_draining(tmp_path)

    assert (outcome.lost, outcome.repeated) == (0, 0), outcome.seed
    assert set(outcome.exit_codes) == {exit_codes.OK}
    assert "Traceback" not in outcome.log


def test_a_siem_that_is_restarted_under_load_gets_everything(tmp_path):
    outcome = scenarios.siem_restarted(tmp_path)

    assert outcome.lost == 0
    assert outcome.exit_codes == [exit_codes.OK]


def test_what_a_siem_acknowledged_and_never_read_is_sent_again(tmp_path):
    outcome = scenarios.half_dead_siem(tmp_path)

    assert outcome.lost == 0
    assert outcome.repeated > 0  # else nothing was in doubt and this test shows nothing
    assert outcome.exit_codes == [exit_codes.OK]


@pytest.mark.parametrize("first", ["the program", "the SIEM"])
def test_what_a_siem_that_dies_with_the_program_had_acknowledged_and_not_read_is_sent_again(tmp_path, first):
    outcome = scenarios.both_die(tmp_path, program_first=first == "the program")

    assert outcome.lost == 0
    assert outcome.exit_codes == [exit_codes.OK]


def test_a_siem_that_acknowledges_nothing_any_more_is_left_and_gets_everything_later(tmp_path):
    if not scenarios.Cable.possible():
        # Nothing else makes a kernel fall silent: one that hosts a stopped process goes on answering.
        pytest.skip("not allowed here: a network namespace of its own")
    outcome = scenarios.silent_siem(tmp_path)

    assert outcome.lost == 0
    assert outcome.exit_codes == [exit_codes.OK]


def test_a_siem_that_stops_reading_for_a_while_gets_everything_once_and_holds_up_no_other(tmp_path):
    outcome = scenarios.stalled_siem(tmp_path)

    assert (outcome.lost, outcome.repeated) == (0, 0)
    assert outcome.exit_codes == [exit_codes.OK]


def test_three_thousand_events_of_one_millisecond_survive_borders_kills_and_restarts(tmp_path):
    outcome = scenarios.one_millisecond(tmp_path)

    assert outcome.lost == 0
    # All of them fit one bundle, so each kill may repeat each once, and nothing else may.
    assert outcome.worst_repeat <= outcome.blows * 3_010, outcome.seed
    assert set(outcome.exit_codes) == {exit_codes.OK}
