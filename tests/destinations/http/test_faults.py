"""Whatever goes wrong between here and a receiver over HTTP, nothing is lost, and of repeats it is known how many."""

from pathlib import Path

import pytest

from tests.destinations.http.faults import (
    DESTINATIONS,
    EACH,
    EVENTS,
    IN_PART,
    KNOW_REPEATS,
    POISONED,
    TAKE_A_PART,
    TROUBLES,
    WITHOUT_BODY,
    cell,
    run,
)

TABLE = (Path(__file__).parents[3] / "docs" / "destinations.md").read_text().partition("tests.destinations.http.faults")[2]
ROWS = [
    [each.strip() for each in line.strip("|").split("|")]
    for line in TABLE.split("\n\n")[1].splitlines()
    if line.split("|")[1].strip() in {"trouble", *TROUBLES}
]
DOCUMENTED = {(row[0], name): each for row in ROWS[1:] for name, each in zip(ROWS[0][1:], row[1:], strict=True)}
TAKEN_AND_UNKNOWN = {"timeout after acceptance", "cut after acceptance", "cut within the answer"}
"""The receiver has the request, and nobody here can know."""


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("destination", DESTINATIONS)
def test_nothing_is_lost_and_at_most_one_request_is_repeated(destination, trouble):
    outcome = run(destination, trouble)

    assert outcome.lost == 0
    assert cell(outcome) == DOCUMENTED[trouble, destination], "docs/destinations.md"
    if trouble == "poisoned event":
        # It costs itself; where the receiver does not say which it was, its request.
        request = range(POISONED - POISONED % EACH, POISONED - POISONED % EACH + EACH)
        assert outcome.dead == (tuple(request) if destination in IN_PART else (POISONED,))
        assert outcome.repeated <= (POISONED % EACH if destination in TAKE_A_PART else 0)
    else:
        assert outcome.dead == ()
        unknown = trouble in TAKEN_AND_UNKNOWN and not (trouble == "cut within the answer" and destination in WITHOUT_BODY)
        repeats = EACH if unknown and destination not in KNOW_REPEATS else 0
        assert outcome.repeated == repeats
        assert outcome.resent >= repeats, "what may be repeated is counted"


def test_a_cell_holds_several_requests_on_both_sides_of_the_trouble():
    assert EVENTS // EACH >= 4
    assert EVENTS // 2 < POISONED < EVENTS
