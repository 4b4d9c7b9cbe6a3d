"""The dashboard that is committed: made by its script, valid by Grafana's own types, and of metrics that exist."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from tests.alerts import board
from tests.alerts.promql import strange
from tests.alerts.test_rule_file import RECORDED


def checked(content: bytes) -> str:
    """What Grafana's types say of a dashboard; empty where nothing."""
    script = Path(__file__).with_name("get_dashboard_check.sh")
    program = subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip()
    return subprocess.run([program], input=content, check=False, capture_output=True).stdout.decode()


@pytest.mark.servers
def test_grafanas_own_types_take_all_of_it():
    assert checked(board.FILE.read_bytes()) == ""


@pytest.mark.servers
def test_what_grafanas_types_do_not_know_would_be_found():
    content = board.FILE.read_bytes()
    assert "unexpected field 'colourMode'" in checked(content.replace(b'"colorMode"', b'"colourMode"'))
    assert "fieldConfig" in checked(content.replace(b'"unit": "s"', b'"unit": 5'))


@pytest.mark.parametrize("query", list(board.queries()), ids=lambda query: query.panel)
def test_a_panel_asks_only_for_what_is_in_the_catalog_or_recorded(query):
    assert strange(query.expr, RECORDED) == []


def test_the_variables_are_of_labels_that_exist():
    asked = [v["query"].removeprefix("label_values(").removesuffix(")") for v in variables() if v["type"] == "query"]
    assert [strange(board.with_defaults(query.rpartition(",")[0]), RECORDED) for query in asked] == [[]] * len(asked)
    assert [query.rpartition(", ")[2] for query in asked] == ["instance", "account", "log_type", "destination"]


def variables():
    return board.load()["templating"]["list"]


def test_every_variable_that_a_query_uses_is_there():
    exprs = [target["expr"] for panel in board.load()["panels"] for target in panel.get("targets", [])]
    used = {name for expr in exprs for name in re.findall(r"\$(\w+)", expr)}
    assert used == {variable["name"] for variable in variables()} - {"datasource"} | {"__rate_interval"}


def test_panels_have_numbers_of_their_own_and_do_not_lie_upon_one_another():
    panels = board.load()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [(place["x"] + x, place["y"] + y) for place in places for x in range(place["w"]) for y in range(place["h"])]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_panel_has_a_title_and_asks_the_source_that_was_chosen():
    panels = [panel for panel in board.load()["panels"] if panel["type"] != "row"]
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert [panel["id"] for panel in panels if not panel["title"] or not panel["targets"]] == []
    assert all(a["title"] != b["title"] for a, b in itertools.combinations(panels, 2))
