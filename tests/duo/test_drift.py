"""What Duo sends that this release does not know is told once and counted; nothing of anybody is shown."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from transforms.duo.drift import LOOKS_A_SEC, MOST, ROWS_A_LOOK, Drift
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.row_fields import NONE
from transforms.metrics.catalog import UNKNOWN_FIELDS, UNKNOWN_VALUES
from transforms.metrics.registry import METRICS

AUTH, ACTIVITY = LOG_TYPES["auth"], LOG_TYPES["activity"]
GOLDEN = Path(__file__).parents[1] / "golden"


class SteppingClock:
    """Each look is late enough for another one."""

    def __init__(self, step_secs: float = 1.0) -> None:
        self.now = 0.0
        self.step_secs = step_secs

    def monotonic_secs(self) -> float:
        self.now += self.step_secs
        return self.now


@pytest.fixture
def drift():
    return Drift(SteppingClock())


def row(**fields) -> bytes:
    return json.dumps(fields).encode()


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "duologsync.duo"]


@pytest.fixture(autouse=True)
def _all_lines(caplog):
    caplog.set_level(logging.INFO)


class TestFields:
    def test_a_new_one_is_told_once_and_counted(self, drift, caplog):
        for _ in range(3):
            drift.look(AUTH, [row(txid="T", passkey={"kind": "new"})])
        assert METRICS.of(UNKNOWN_FIELDS) == {("auth",): 1}
        assert told(caplog) == ["The log auth has a field that this release does not know: passkey. Events keep it as it is."]

    def test_one_inside_of_a_known_one_has_its_path(self, drift, caplog):
        drift.look(AUTH, [row(user={"name": "ada", "pronoun": "she"}, access_device={"location": {"city": "x", "zone": 1}})])
        assert METRICS.of(UNKNOWN_FIELDS) == {("auth",): 2}
        assert "user.pronoun" in caplog.text
        assert "access_device.location.zone" in caplog.text
        assert "she" not in [word.strip(".") for word in caplog.text.split()]

    @pytest.mark.parametrize("value", [None, "text", 5, []])
    def test_a_known_one_may_hold_anything(self, drift, value):
        drift.look(AUTH, [row(user=value, access_device={"security_agents": value, "location": value})])
        assert METRICS.of(UNKNOWN_FIELDS) == {}

    def test_only_so_many_are_told(self, drift, caplog):
        for number in range(2 * MOST):
            drift.look(AUTH, [row(**{f"field_{number}": 1})])
        assert METRICS.of(UNKNOWN_FIELDS) == {("auth",): MOST}
        assert len(told(caplog)) == MOST

    def test_a_name_makes_one_printable_line_that_ends(self, drift, caplog):
        drift.look(AUTH, [row(**{"a\nb\x1b[31m" + "x" * 500: 1})])
        [line] = told(caplog)
        assert line.isprintable()
        assert len(line) < 200

    def test_what_may_be_of_a_person_is_not_shown(self, drift, caplog):
        drift.look(AUTH, [row(**{"ada@example.com": 1}, result="ada@example.com", reason="+44 20 7946 0999")])
        assert len(told(caplog)) == 3
        assert "ada" not in caplog.text.lower()
        assert "7946" not in caplog.text


class TestValues:
    def test_a_new_one_is_told_once_and_counted_by_its_field(self, drift, caplog):
        for result in ("denied", "postponed", "POSTPONED", "postponed"):
            drift.look(AUTH, [row(result=result)])
        drift.look(AUTH, [row(factor="carrier_pigeon")])
        assert METRICS.of(UNKNOWN_VALUES) == {("auth", "result"): 2, ("auth", "factor"): 1}
        assert "a value of factor that this release does not know: carrier_pigeon." in caplog.text

    @pytest.mark.parametrize("value", [None, "", 5, {"name": "x"}, ["success"]])
    def test_what_is_no_text_says_nothing(self, drift, value):
        drift.look(AUTH, [row(result=value)])
        assert METRICS.of(UNKNOWN_VALUES) == {}

    def test_an_action_is_known_by_what_it_is_done_to(self, drift):
        drift.look(ACTIVITY, [row(action={"name": "user_teleport"})])
        assert METRICS.of(UNKNOWN_VALUES) == {}
        drift.look(ACTIVITY, [row(action={"name": "spaceship_create"})])
        drift.look(ACTIVITY, [row(action="as a text")])
        assert METRICS.of(UNKNOWN_VALUES) == {("activity", "action.name"): 1}

    def test_only_so_many_are_told(self, drift):
        for number in range(2 * MOST):
            drift.look(AUTH, [row(result=f"result {number}")])
        assert METRICS.of(UNKNOWN_VALUES) == {("auth", "result"): MOST}

    def test_of_fields_that_say_something_of_somebody_none_is_shown(self, drift, caplog):
        drift.look(AUTH, [row(email="ada@example.com", alias="ada", user={"name": "Ada"}, ood_software="odd")])
        assert told(caplog) == []


@pytest.mark.parametrize("log_type", LOG_TYPES.values(), ids=list(LOG_TYPES))
def test_fields_with_known_values_are_texts_that_the_log_has(log_type):
    assert log_type.row_values
    assert {log_type.row_fields[path] for path in log_type.row_values} == {"text"}
    assert all(value == value.lower() for known in log_type.row_values.values() for value in known)


WITH_SOMETHING_NEW = {"risk_assessed": "eventtype", "new_type": "What's App"}
AS_DUO_SENDS_THEM = [
    path
    for path in sorted(GOLDEN.glob("*/*.json"))
    if path.name.count(".") == 1 and not path.stem.startswith(("unexpected", "forged", "odd"))
]


@pytest.mark.parametrize("path", AS_DUO_SENDS_THEM, ids=lambda path: f"{path.parent.name} {path.stem}")
def test_what_duo_is_known_to_send_is_known(drift, caplog, path):
    drift.look(LOG_TYPES[path.parent.name], [path.read_bytes()])
    new = WITH_SOMETHING_NEW.get(path.stem)
    assert any(new in line for line in told(caplog)) if new else told(caplog) == []


@pytest.mark.parametrize("odd", [b"", b"[]", b"\xff", b"{", b'{"a":' * 1_200 + b"1" + b"}" * 1_200, b'{"result":"\\ud800"}'])
def test_an_odd_row_is_not_looked_into(drift, caplog, odd):
    drift.look(AUTH, [odd])
    assert [line for line in told(caplog) if "a.a" in line] == []


def test_of_a_log_of_which_nothing_is_documented_nothing_is_new(drift):
    drift.look(replace(AUTH, row_fields=NONE), [row(anything=1, result="new")])
    assert METRICS.of(UNKNOWN_FIELDS) == METRICS.of(UNKNOWN_VALUES) == {}


def test_every_place_of_a_page_has_its_turn(drift):
    page = [row(**{f"field_{place}": 1}) for place in range(MOST)]
    drift.look(AUTH, page)
    assert METRICS.total(UNKNOWN_FIELDS) == ROWS_A_LOOK
    for _ in range(MOST):
        drift.look(AUTH, page)
    assert METRICS.total(UNKNOWN_FIELDS) == MOST


def test_only_a_few_answers_a_second_are_looked_into():
    drift = Drift(SteppingClock(0.01))
    for number in range(100):
        drift.look(AUTH, [row(**{f"field_{number}": 1})])
    assert METRICS.total(UNKNOWN_FIELDS) <= LOOKS_A_SEC + 1
