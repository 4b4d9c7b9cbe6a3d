"""CEF holds what it promises for every row that Duo, or an attacker through Duo, could send."""

from __future__ import annotations

import ipaddress
import json
import re

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.formats import cef_reader, oracles, strategies
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import Undeliverable
from transforms.formats import make_formatter
from transforms.formats.cef import PROFILES, CefOptions, dls, encoder, keys, standard
from transforms.settings import Format

DICTIONARY = cef_reader.dictionary() | cef_reader.own_keys()
FORMATTERS = {name: make_formatter(Format(CefOptions(profile=name))) for name in PROFILES}

quick = settings(max_examples=60, deadline=None)

_events = st.sampled_from(sorted(LOG_TYPES)).flatmap(
    lambda log_type: strategies.rows(log_type).map(
        lambda raw: DuoEvent(Stream("acme", log_type, "api-x.example.com", "DA1"), raw)
    )
)
_profiles = st.sampled_from(sorted(PROFILES))


def _auth_event(**row: object) -> DuoEvent:
    return DuoEvent(Stream("acme", "auth"), json.dumps(row).encode())


@quick
@given(_events, _profiles)
def test_a_message_is_one_line_of_utf_8(event: DuoEvent, profile: str) -> None:
    message = FORMATTERS[profile].format(event)
    assert len(message.decode().splitlines()) == 1
    assert b"\0" not in message


@quick
@given(_events, _profiles)
def test_no_text_in_a_message_looks_like_the_beginning_of_another(event: DuoEvent, profile: str) -> None:
    message = FORMATTERS[profile].format(event).decode()
    assert [found.start() for found in re.finditer(r"CEF:\d", message)] == [0]
    assert not re.search(r"\\n<\d", message)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("bob\n<134>Nov 14 22:13:20 h CEF:0|Cisco|", r"bob\n< 134>Nov 14 22:13:20 h CEF: 0|Cisco|"),
        ("bob\r\n\x00<134>1 CEF:1|", r"bob\n< 134>1 CEF: 1|"),
        ("CORP\\n<1>", r"CORP\\n< 1>"),
        ("CEF: and <134>, and CEF:x\n<a>", r"CEF: and <134>, and CEF:x\n<a>"),
    ],
)
def test_a_text_that_holds_a_message_gets_a_space_where_the_message_would_begin(text: str, written: str) -> None:
    assert encoder.escaped(text, 1000) == written


@quick
@given(_events, _profiles)
def test_a_strict_reader_and_vector_read_the_same(event: DuoEvent, profile: str) -> None:
    message = FORMATTERS[profile].format(event)
    ours = cef_reader.read(message)
    header, extension = oracles.vrl_cef(message)
    assert header == ours.header
    # Vector drops the quotes around a value and all white space at its ends, whatever it is to Unicode.
    assert {k: _as_vector(v) for k, v in extension.items()} == {k: _as_vector(v) for k, v in ours.extension.items()}


def _as_vector(value: str) -> str:
    return value.strip().strip('"').strip()


@quick
@given(_events, _profiles)
def test_every_custom_value_has_its_label_and_every_label_its_value(event: DuoEvent, profile: str) -> None:
    keys = set(cef_reader.read(FORMATTERS[profile].format(event)).extension)
    labels = {key.removesuffix("Label") for key in keys if key.endswith("Label")}
    custom = {key for key in keys if re.fullmatch(r"(cs|cn|c6a|flexString|deviceCustomDate)\d", key)}
    assert labels == custom


# Fields of one assessment that no golden row has of the other.
_REMEMBERED = {"remember_me": {"preview_mode_enabled": False, "detected_attack_detectors": ["push_harassment"]}}


@quick
@given(_events, _profiles)
@example(_auth_event(adaptive_trust_assessments=_REMEMBERED), "standard")
def test_every_key_is_in_the_dictionary_and_no_value_is_longer_than_it_allows(event: DuoEvent, profile: str) -> None:
    for key, size in cef_reader.read(FORMATTERS[profile].format(event)).escaped_bytes.items():
        _, longest = DICTIONARY[key]
        assert longest is None or size <= longest, key


@quick
@given(_events, _profiles)
def test_a_typed_key_holds_a_value_of_its_type_and_none_is_empty(event: DuoEvent, profile: str) -> None:
    for key, value in cef_reader.read(FORMATTERS[profile].format(event)).extension.items():
        kind, _ = DICTIONARY[key]
        assert (
            value not in {"", "None", "null"} or "None" in event.raw.decode("utf-8", "replace") or "null" in str(event.raw)
        ), key
        if kind == "timestamp":
            assert re.fullmatch(r"\d{1,15}", value), key
        if kind in {"integer", "long"}:
            assert -(2**63) < int(value) < 2**63, key
        if kind == "ipv4_address":
            assert ipaddress.IPv4Address(value) != ipaddress.IPv4Address(0)
        if kind == "ipv6_address":
            assert ipaddress.IPv6Address(value) != ipaddress.IPv6Address(0)


@pytest.mark.parametrize("table", [*standard.TABLES.values(), *dls.TABLES.values()], ids=lambda table: f"{len(table)} keys")
def test_a_table_names_no_key_twice(table: tuple[keys.Key, ...]) -> None:
    named = [name for key in table for name in re.findall(r" (\w+)=", key.key)]
    assert sorted(set(named)) == sorted(named)


@quick
@given(st.sampled_from(sorted(LOG_TYPES)).flatmap(strategies.rows))
def test_a_log_type_without_a_table_is_written_by_the_table_of_all(raw: bytes) -> None:
    facts = msgspec.structs.replace(LOG_TYPES["auth"].facts(DuoEvent(Stream("acme", "auth"), raw)), category="newest")
    cef_reader.read(f"CEF:0|a|b|c|d|e|1|{''.join(standard.extension(_auth_event(), facts))[1:]}".encode())


@quick
@given(st.text(max_size=60))
@example("\\" * 3)
def test_what_is_read_back_is_what_was_written(text: str) -> None:
    expected = re.sub("\r\n|[\r\n\x85\u2028\u2029]", "\n", text).replace("\t", " ")
    expected = re.sub("[\x00-\x09\x0b-\x1f\x7f-\x9f]", "", expected)
    expected = re.sub(r"CEF:(?=\d)|(?<=\n)<(?=\d)|(?<=\\n)<(?=\d)", r"\g<0> ", expected)
    assert cef_reader.unescape(encoder.escaped(text, 10_000)) == expected.strip(" ")


@quick
@given(strategies.texts, st.integers(1, 60))
def test_a_cut_value_is_the_beginning_of_the_whole_one(text: str, longest_bytes: int) -> None:
    cut = encoder.escaped(text, longest_bytes)
    assert len(cut.encode()) <= longest_bytes
    assert cef_reader.unescape(encoder.escaped(text, 100_000)).startswith(cef_reader.unescape(cut))


@quick
@given(strategies.texts, st.integers(1, 60))
@example("trailing ", 60)
@example(" leading", 60)
@example("plain", 3)
def test_the_short_way_for_plain_values_writes_what_the_long_way_does(text: str, longest_bytes: int) -> None:
    value = encoder.escaped(text, longest_bytes)
    assert "".join(encoder.write([(" act=", text, longest_bytes)])) == (f" act={value}" if value else "")


@quick
@given(st.lists(st.tuples(st.one_of(st.none(), strategies.texts), st.integers(1, 60)), min_size=1, max_size=6))
@example([("EXAMPLE\\svc", 60), ("a=b", 4), (None, 60), ("plain", 60)])
@example([("EXAMPLE\\svc", 60), (" ", 60), ("a", 60)])
@example([("a ", 60), ("b", 60)])
def test_values_that_are_looked_at_together_are_written_as_each_alone(fields: list[tuple[str | None, int]]) -> None:
    named = [(f" cs{number}=", text, longest_bytes) for number, (text, longest_bytes) in enumerate(fields)]
    alone = [(key, encoder.escaped(text, longest_bytes)) for key, text, longest_bytes in named if text]
    assert "".join(encoder.write(named)) == "".join(key + value for key, value in alone if value)


@pytest.mark.parametrize("attack", strategies.ATTACKS)
@pytest.mark.parametrize("profile", PROFILES)
def test_an_attackers_text_changes_only_the_field_that_it_was_typed_into(profile: str, attack: str) -> None:
    """User, device and application names and the user agent are chosen by whoever logs in."""

    def read(name: str) -> cef_reader.CefEvent:
        return cef_reader.read(
            FORMATTERS[profile].format(
                _auth_event(
                    txid="t1",
                    event_type="authentication",
                    result="denied",
                    user={"name": name, "key": "DU1"},
                    application={"name": name, "key": "DI1"},
                    auth_device={"name": name},
                    access_device={"hostname": name, "browser": name, "ip": "203.0.113.9"},
                )
            )
        )

    harmless, attacked = read("harmless"), read(attack)
    free = {key for key, value in harmless.extension.items() if value == "harmless"}
    assert attacked.header == harmless.header
    assert all(size <= (DICTIONARY[key][1] or size) for key, size in attacked.escaped_bytes.items())
    assert set(attacked.extension) <= set(harmless.extension)
    for key in set(harmless.extension) - free:
        slot = key.removesuffix("Label")
        assert slot in free or attacked.extension[key] == harmless.extension[key]


@pytest.mark.parametrize("attack", strategies.ATTACKS)
def test_an_action_name_cannot_break_the_header(attack: str) -> None:
    event = DuoEvent(Stream("acme", "activity"), json.dumps({"action": attack, "actor": {"type": attack}}).encode())
    for formatter in FORMATTERS.values():
        header = cef_reader.read(formatter.format(event)).header
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", header["class_id"])


def test_absent_values_are_left_out_with_their_keys() -> None:
    nothing = dict.fromkeys(("txid", "reason", "factor", "user", "application", "access_device", "email"))
    for formatter in FORMATTERS.values():
        assert "None" not in formatter.format(_auth_event(**nothing)).decode()
        assert "suser" not in cef_reader.read(formatter.format(_auth_event(**nothing))).extension


def test_an_id_that_is_too_long_stays_different_from_another_with_the_same_beginning() -> None:
    ids = [encoder.identifier("tenant-with-a-long-name:" + "0" * 30 + end) for end in "ab"]
    assert all(i is not None and len(i) == 40 for i in ids)
    assert ids[0] != ids[1]


def test_more_texts_than_places_are_left_out() -> None:
    labels = [key for key, _ in _slots_for(10)]
    assert labels == ["cs1", "cs2", "cs3", "cs4", "cs5", "cs6", "flexString1", "flexString2"]


def _slots_for(count: int) -> list[tuple[str, str]]:
    facts = LOG_TYPES["auth"].facts(_auth_event())
    many = tuple((f"label{i}", f"value{i}") for i in range(count))
    new = msgspec.structs.replace(facts, category="newest", texts=many)
    extension = "".join(PROFILES["standard"].extension(_auth_event(), new))
    read = cef_reader.read(f"CEF:0|a|b|c|d|e|1|{extension[1:]}".encode()).extension
    return [(key, value) for key, value in read.items() if value.startswith("value")]


def test_a_text_keeps_its_place_when_those_before_it_are_missing() -> None:
    read = cef_reader.read(FORMATTERS["standard"].format(_auth_event(result="denied"))).extension
    assert (read["cs6Label"], read["cs6"]) == ("duoResult", "denied")
    assert "cs1" not in read


@pytest.mark.parametrize("raw", [b"", b"null", b"[1]", b'"text"', b"{", b"\xff", b'{"a":' + b"[" * 100_000])
def test_what_is_no_object_is_undeliverable(raw: bytes) -> None:
    with pytest.raises(Undeliverable) as refusal:
        FORMATTERS["standard"].format(DuoEvent(Stream("acme", "auth"), raw))
    assert refusal.value.reason == "not_an_object"


def test_an_unknown_log_type_is_undeliverable() -> None:
    with pytest.raises(Undeliverable) as refusal:
        FORMATTERS["standard"].format(DuoEvent(Stream("acme", "newest"), b"{}"))
    assert refusal.value.reason == "unknown_log_type"


def test_an_unknown_profile_is_refused_when_the_formatter_is_made() -> None:
    with pytest.raises(ValueError, match="standard or dls"):
        make_formatter(Format(CefOptions(profile="other")))
