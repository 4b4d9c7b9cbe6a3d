"""A log type that no format knows yet is written all the same, with what it says under its own labels."""

from __future__ import annotations

import json

import pytest

from tests.formats import leef_reader, ocsf_schema
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.base import LogType, RowKey
from transforms.facts import Device, EventFacts, Party
from transforms.formats import FORMATS, make_formatter
from transforms.settings import Format

_FACTS = EventFacts(
    event_class="passkey.used",
    title="Duo passkey used",
    severity=3,
    category="passkey",
    time_ms=1_700_000_000_123,
    event_id="PK1",
    action="used",
    outcome="success",
    actor=Party(key="DU1", name="jdoe"),
    target_user=Party(key="DU1", name="jdoe"),
    src_ip="203.0.113.9",
    device=Device(os="Windows"),
    texts=(("credential", "Security = key"), ("nothing", None)),
    numbers=(("attempts", 0),),
    times_ms=(("made", 1_600_000_000_000),),
)


@pytest.fixture(autouse=True)
def _passkey(monkeypatch: pytest.MonkeyPatch) -> None:
    log_type = LogType("passkey", "/x", "items", 1, "next", None, True, lambda _: RowKey(None, None), lambda _: _FACTS)
    monkeypatch.setitem(LOG_TYPES, "passkey", log_type)


def _write(name: str) -> bytes:
    return make_formatter(Format(FORMATS[name].options())).format(DuoEvent(Stream("acme", "passkey"), b"{}"))


def test_leef_has_its_labels_as_attributes() -> None:
    read = leef_reader.read(_write("leef"))
    assert read.header["event_id"] == "passkey_used"
    assert {name: read.attributes[name] for name in ("credential", "attempts", "made", "usrName", "src", "os")} == {
        "credential": "Security = key",
        "attempts": "0",
        "made": "1600000000000",
        "usrName": "jdoe",
        "src": "203.0.113.9",
        "os": "Windows",
    }


def test_ecs_has_them_under_the_logs_name() -> None:
    document = json.loads(_write("ecs"))
    assert document["cisco_duo"]["passkey"] == {
        "credential": "Security = key",
        "attempts": 0,
        "made": 1_600_000_000_000,
        "access_device": {"ip": "203.0.113.9"},
        "target": {"name": "jdoe", "key": "DU1"},
    }
    assert document["event"]["dataset"] == "cisco_duo.passkey"
    assert document["user"]["name"] == "jdoe"


def test_ocsf_has_them_unmapped_in_a_base_event() -> None:
    event = json.loads(_write("ocsf"))
    assert ocsf_schema.problems(event) == []
    assert (event["class_uid"], event["metadata"]["log_name"], event["status"]) == (0, "passkey", "Success")
    unmapped = event["unmapped"]
    assert (unmapped["credential"], unmapped["attempts"], unmapped["made"]) == ("Security = key", 0, 1_600_000_000_000)
    assert unmapped["actor"] == {"user": {"name": "jdoe", "uid": "DU1"}}
    assert unmapped["src_endpoint"]["ip"] == "203.0.113.9"
