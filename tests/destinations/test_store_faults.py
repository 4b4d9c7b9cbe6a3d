"""The table of troubles in docs/destinations.md, cell by cell."""

from pathlib import Path

import pytest

from tests.destinations import store_faults
from tests.destinations.store_faults import kinds, table

TEXT = (Path(__file__).parents[2] / "docs" / "destinations.md").read_text()
_SECTION = TEXT.split("## Troubles of Kafka")[1].split("## ")[0]
_HEAD, _, *_LINES = [line.strip("|").split("|") for line in _SECTION.splitlines() if line.startswith("|")]
COLUMNS = [cell.strip() for cell in _HEAD[1:]]
CELLS = {
    (kind, line[0].strip()): cell.strip()
    for line in _LINES
    for kind, cell in zip(COLUMNS, line[1:], strict=True)
    if cell.strip()
}
OTHERS = [key for key in CELLS if key[0] != "kafka"]


def numbers(cell: str) -> tuple[int, int, int]:
    """Lost, repeated, dead."""
    counts, _, dead = cell.partition(", ")
    lost, repeated = map(int, counts.split(" / "))
    return lost, repeated, int(dead.partition(" ")[0] or 0)


def compare(outcome: store_faults.Outcome, key: tuple[str, str]) -> None:
    lost, most_repeated, dead = numbers(CELLS[key])
    assert (outcome.lost, len(outcome.dead)) == (lost, dead) == (0, dead)
    assert outcome.repeated <= most_repeated


@pytest.mark.parametrize(("kind", "trouble"), OTHERS)
def test_nothing_is_lost_and_no_more_repeated_than_it_says(kind, trouble, tmp_path):
    (one,) = [each for each in kinds(tmp_path, None) if each.name == kind]
    compare(one.troubles[trouble](), (kind, trouble))


def test_every_trouble_that_is_tried_has_its_cell(tmp_path):
    tried = {(kind.name, trouble) for kind in kinds(tmp_path, None) for trouble in kind.troubles}
    assert tried == set(OTHERS)
    assert table([]).count("\n") == 1
