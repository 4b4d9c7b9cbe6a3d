"""Times, addresses and ids of event kinds, in every notation that Duo was seen to use."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.duo.log_types import values
from transforms.facts import Place

_MS = 1_700_000_000_123


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2023-11-14T22:13:20.123456+00:00", _MS),
        ("2023-11-14T22:13:20.123999+00:00", _MS),  # cut, not rounded
        ("2023-11-14T22:13:20.1239999999+00:00", _MS),
        ("2023-11-14T22:13:20.123Z", _MS),
        ("2023-11-14t22:13:20.123z", _MS),
        ("2023-11-14T22:13:20.123", _MS),
        ("2023-11-15T03:43:20.123+05:30", _MS),
        ("2023-11-14 14:13:20.123-0800", _MS),
        ("2023-11-14T22:13:20+00:00", _MS - 123),
        ("2023-11-14T22:13:20Z", _MS - 123),
        ("2023-11-14T22:13:20.5Z", _MS - 123 + 500),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2023-02-30T00:00:00Z", None),
        ("2023-11-14T22:13:20 hello", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_iso_time_is_read_in_milliseconds(text: str | None, ms: int | None) -> None:
    assert values.iso_to_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    ["2023-11-14T22:13:20.123456+00:00", "2023-11-14T22:13:20.5Z", "2023-11-15T03:43:20.1239+05:30", "1969-12-31T23:59:59Z"],
)
def test_the_slow_way_for_old_pythons_reads_the_same(text: str) -> None:
    assert values._iso_parts_to_ms(text) == values.iso_to_ms(text)


@pytest.mark.parametrize(("ms", "expected"), [(0, 0), (_MS, _MS), (-1, None), (253_402_300_800_000, None), (None, None)])
def test_milliseconds_outside_of_the_calendar_are_no_time(ms: int | None, expected: int | None) -> None:
    assert values.valid_ms(ms) == expected


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:443", "203.0.113.9"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2:3:4:5:6"),
        ("2001:db8::7 port 443", "2001:db8::7"),
        ("2001:db8::7p443", "2001:db8::7"),
        ("2001:db8::7#443", "2001:db8::7"),
        ("2001:db8::7.443", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("0.0.0.0", None),
        ("0.0.0.0:443", None),
        ("::", None),
        ("::ffff:0.0.0.0", None),
        ("203.0.113.999", None),
        ("203.0.113", None),
        ("host.example.com", None),
        ("203.0.113.9 src=198.51.100.1", None),
        ("", None),
        (None, None),
        ("1" * 1000, None),
    ],
)
def test_an_address_loses_its_port_and_what_is_no_address_is_none(text: str | None, address: str | None) -> None:
    assert values.ip_address(text) == address


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("203.0.113.9", None),
        ("203.0.113.9:443", 443),
        ("203.0.113.9:65536", None),
        ("203.0.113.9:" + "9" * 50, None),
        ("[2001:db8::7]:443", 443),
        ("[2001:db8::7]", None),
        ("2001:db8:1:2:3:4:5:6:443", 443),
        ("2001:db8::7 port 443", 443),
        ("2001:db8::7.443", 443),
        ("0.0.0.0:443", None),
        ("host.example.com:443", None),
    ],
)
def test_the_port_behind_an_address_is_kept(text: str, port: int | None) -> None:
    assert values.endpoint(text).port == port


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("auth", "authentication", "denied"), "auth.authentication.denied"),
        (("auth", "authentication", ""), "auth.authentication"),
        (("auth", None, "denied"), "auth.unknown.denied"),
        (("auth", None, None), "auth.unknown"),
        (("activity", "a.b|c=d\\e f"), "activity.a_b_c_d_e_f"),
        (("activity", "é" * 100), "activity." + "_" * 64),
    ],
)
def test_the_id_of_a_kind_of_event_has_safe_characters_only(parts: tuple[str | None, ...], expected: str) -> None:
    assert values.event_class(*parts) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text())
def test_no_text_makes_an_id_of_more_parts_or_of_other_characters(kind: str, result: str) -> None:
    assert re.fullmatch(r"auth\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?", values.event_class("auth", kind, result))


def test_places_leave_out_what_duo_does_not_know() -> None:
    assert values.known_place(Place("Ann Arbor", "Michigan", "United States")) == Place(
        "Ann Arbor", "Michigan", "United States"
    )
    assert values.known_place(Place("-", None, "United States")) == Place(country="United States")
    assert values.known_place(Place("-", "-", "-")) == values.known_place(None) == Place()
