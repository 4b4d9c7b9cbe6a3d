"""The real program, in every trouble, seen by a real Prometheus with our rules, and by the dashboard's queries.

Not to be made here, and so only in ``test_rules``: memory that grows to 800 MB, a receiver that hangs for half an hour. For
them thresholds are lowered, so that the rules are at least evaluated over what the program exposes.
"""

from __future__ import annotations

import re

import pytest
import yaml

from tests.alerts import board
from tests.alerts.prometheus import Prometheus, quick, seen_to_fire
from tests.alerts.promtool import RULES
from tests.alerts.test_rule_file import ALERTS
from tests.alerts.troubles import Troubles
from tests.servers.harness import wait_until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]

ALL = {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}


@pytest.fixture(scope="module")
def troubles(tmp_path_factory):
    with Troubles(tmp_path_factory.mktemp("troubles")) as made:
        yield made


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, troubles):
    with Prometheus(tmp_path_factory.mktemp("prometheus"), troubles.ports) as server:
        wait_until(server.ready, "Prometheus answers")
        wait_until(lambda: len(server.query("duologsync_build_info")) == 2, "it has scraped both programs")
        yield server


def test_every_alert_fires_in_its_trouble(prometheus, troubles):
    troubles.tear()
    assert ALL - seen_to_fire(prometheus, ALL, within_secs=200) == set()


def test_no_rule_fails(prometheus):
    assert {rule["name"]: rule["lastError"] for rule in prometheus.rules() if rule.get("lastError")} == {}
    assert {rule["health"] for rule in prometheus.rules()} == {"ok"}


@pytest.mark.parametrize("query", list(board.queries("10s")), ids=lambda query: query.panel)
def test_a_panel_shows_something(query, prometheus):
    wait_until(lambda: prometheus.query(query.expr), f"{query.panel}: {query.expr}", within_secs=30)


def test_what_is_scraped_has_no_mistake(prometheus):
    assert [target["lastError"] for target in prometheus.targets() if target["labels"]["instance"] == "troubled"] == [""]


def test_the_rules_are_ours_but_for_numbers_and_waits():
    ours, theirs = (
        [re.sub(r"-?[\d.]+(?:e\d)?[smh]?|\* 1024", "", rule["expr"]).split() for group in groups for rule in group["rules"]]
        for groups in (
            yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"],
            quick(RULES.read_text(encoding="utf-8"))["groups"],
        )
    )
    assert ours == theirs
