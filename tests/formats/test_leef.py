"""LEEF holds what it promises for every row that Duo, or an attacker through Duo, could send."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import golden, leef_reader, strategies
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import make_formatter
from transforms.formats.leef import TABLES, LeefOptions
from transforms.settings import Format

PREDEFINED = leef_reader.predefined()
FORMATTERS = {name: make_formatter(Format(LeefOptions(delimiter=name))) for name in ("tab", "caret")}
DOCUMENT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")

_events = st.sampled_from(sorted(LOG_TYPES)).flatmap(
    lambda log_type: strategies.rows(log_type).map(
        lambda raw: DuoEvent(Stream("acme", log_type, "api-x.example.com", "DA1"), raw)
    )
)
_delimiters = st.sampled_from(sorted(FORMATTERS))


def _read(delimiter: str = "tab", log_type: str = "auth", **row: object) -> leef_reader.LeefEvent:
    event = DuoEvent(Stream("acme", log_type), json.dumps(row).encode())
    return leef_reader.read(FORMATTERS[delimiter].format(event))


@settings(max_examples=100, deadline=None)
@given(_events, _delimiters)
def test_every_message_is_leef_and_each_predefined_attribute_has_its_type(event: DuoEvent, delimiter: str) -> None:
    read = leef_reader.read(FORMATTERS[delimiter].format(event))
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", read.header["event_id"])
    for name, value in read.attributes.items():
        kind, longest = PREDEFINED.get(name, ("string", 4000))
        assert len(value.encode()) <= (longest or 4000), name
        if kind == "ip_address":
            assert ipaddress.ip_address(value)
        if name == "devTime":
            assert re.fullmatch(r"\d{13}", value)
        if name == "sev":
            assert 1 <= int(value) <= 10


@settings(max_examples=100, deadline=None)
@given(_events, _delimiters)
def test_no_text_in_a_message_looks_like_the_beginning_of_another(event: DuoEvent, delimiter: str) -> None:
    message = FORMATTERS[delimiter].format(event).decode()
    assert len(message.splitlines()) == 1
    assert [found.start() for found in re.finditer(r"(?:LE|C)EF:\d", message)] == [0]
    assert not re.search(r"\\n<\d", message)


@pytest.mark.parametrize("attack", strategies.ATTACKS)
@pytest.mark.parametrize("delimiter", FORMATTERS)
def test_an_attackers_text_changes_only_the_attribute_that_it_was_typed_into(delimiter: str, attack: str) -> None:
    """User, device and application names and the user agent are chosen by whoever logs in."""

    def read(name: str) -> leef_reader.LeefEvent:
        return _read(
            delimiter,
            txid="t1",
            event_type="authentication",
            result="denied",
            user={"name": name, "key": "DU1"},
            application={"name": name, "key": "DI1"},
            auth_device={"name": name},
            access_device={"hostname": name, "browser": name, "ip": "203.0.113.9"},
        )

    harmless, attacked = read("harmless"), read(attack)
    free = {name for name, value in harmless.attributes.items() if value == "harmless"}
    assert attacked.header == harmless.header
    assert set(attacked.attributes) <= set(harmless.attributes)
    assert {n: v for n, v in attacked.attributes.items() if n not in free} == {
        n: v for n, v in harmless.attributes.items() if n not in free
    }


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a=b", "a=b"),
        ("C:\\new", "C:\\new"),
        ("x|y", "x|y"),
        ("a\tb", "a b"),
        ("a\r\nb\u2028c", "a b c"),
        ("\x00nul\x1b[0m ", "nul[0m"),
        ("\ud800x", "\ufffdx"),
        ("LEEF:2.0|x and CEF:0|x", "LEEF: 2.0|x and CEF: 0|x"),
        ("a\\n<134>x", "a\\n< 134>x"),
        ("é" * 128, "é" * 127),
    ],
)
def test_a_value_is_written_so(text: str, written: str) -> None:
    assert _read(user={"name": text}).attributes["usrName"] == written


def test_the_delimiter_alone_becomes_a_space_and_the_other_one_stays() -> None:
    assert _read("tab", reason="a^b").attributes["reason"] == "a^b"
    assert _read("caret", reason="a^b").attributes["reason"] == "a b"


def test_what_is_empty_or_nothing_but_spaces_is_left_out() -> None:
    assert set(_read(user={"name": " \t"}, reason="", factor=None).attributes) == {"sev", "log"}


def test_event_id_and_category_say_what_happened_and_neither_is_ever_free_text() -> None:
    read = _read(event_type="authentication", result="denied")
    assert (read.header["event_id"], read.attributes["cat"]) == ("auth_authentication", "denied")
    read = _read(log_type="activity", action={"name": "user_update"}, outcome={"result": "SUCCESS"})
    assert (read.header["event_id"], read.attributes["cat"]) == ("activity_user_update", "success")


def test_a_time_before_2001_has_thirteen_digits_too() -> None:
    assert _read(timestamp=1).attributes["devTime"] == "0000000001000"


@pytest.mark.parametrize("category", TABLES)
def test_a_table_names_no_attribute_twice(category: str) -> None:
    names = [key.name for key in TABLES[category]]
    assert sorted(set(names)) == sorted(names)


def test_every_attribute_of_our_own_is_documented_and_none_is_reserved_by_ibm() -> None:
    names = {key.name for table in TABLES.values() for key in table} | {"apiHost"}
    reserved = {"identMAC", "isLoginEvent", "isLogoutEvent", "calLanguage", "calCountryOrRegion", "identSecondlp"}
    assert names & reserved == set()
    assert [name for name in sorted(names - PREDEFINED.keys()) if f"`{name}`" not in DOCUMENT] == []


@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_the_golden_messages_say_the_same_with_either_delimiter(row: Path) -> None:
    tab, caret = (leef_reader.read(row.with_suffix(f".{name}.leef").read_bytes().rstrip(b"\n")) for name in ("bare", "caret"))
    assert tab.attributes.keys() == caret.attributes.keys()
    assert all(caret.attributes[name] in (value, value.replace("^", " ")) for name, value in tab.attributes.items())
