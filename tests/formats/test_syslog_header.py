"""Syslog headers are what RFC 5424 and RFC 3164 ask for, wherever they are written."""

from __future__ import annotations

import re
import socket
import time

import pytest

import pipelines
from transforms.coders import DuoEvent, EventFacts, Stream
from transforms.formats import FORMATS, make_formatter, syslog_header, version
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Format, SyslogHeader

_TIME_MS = 1_772_438_950_045  # 2026-03-02 08:09:10.045 UTC


def _header(style: str, *, tagged: bool = True, **settings: object) -> syslog_header.HeaderWriter:
    return syslog_header.make(SyslogHeader(style, **{"hostname": "h", **settings}), tagged=tagged, clock_ms=lambda: _TIME_MS)


def _facts(severity: int, outcome: str | None = None) -> EventFacts:
    return EventFacts(event_class="a.b", title="t", severity=severity, category="c", outcome=outcome)


def test_rfc_5424_has_milliseconds_in_utc_and_the_log_type_as_message_id() -> None:
    assert _header("rfc5424")(_TIME_MS, 4, "auth") == "<132>1 2026-03-02T08:09:10.045Z h duologsync - auth - "


def test_rfc_3164_pads_the_day_with_a_space_and_ends_with_a_tag() -> None:
    assert _header("rfc3164")(_TIME_MS, 6, "auth") == "<134>Mar  2 08:09:10 h duologsync: "


def test_cef_needs_no_tag_of_its_own_in_rfc_3164() -> None:
    assert _header("rfc3164", tagged=False)(_TIME_MS, 6, "auth") == "<134>Mar  2 08:09:10 h "


@pytest.mark.parametrize("style", ["rfc5424", "rfc3164"])
def test_an_event_without_a_time_gets_the_present(style: str) -> None:
    assert _header(style)(None, 6, "auth") == _header(style)(_TIME_MS, 6, "auth")


@pytest.mark.parametrize("style", ["rfc5424", "rfc3164"])
def test_the_time_follows_the_events_and_a_second_seen_before_is_not_mixed_up(style: str) -> None:
    header = _header(style)
    times = [_TIME_MS, _TIME_MS + 1000, _TIME_MS + 1001, _TIME_MS, 0, 253_402_300_799_999]
    assert [header(t, 6, "auth") for t in times] == [_header(style)(t, 6, "auth") for t in times]


def test_neither_time_zone_nor_locale_of_the_host_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    time.tzset()
    try:
        row = DuoEvent(Stream("acme", "activity"), b'{"ts":"2026-03-02T08:09:10.045"}')
        for style, expected in (("rfc5424", b"1 2026-03-02T08:09:10.045Z"), ("rfc3164", b"Mar  2 08:09:10")):
            settings = Format(JsonOptions(), header=SyslogHeader(style, hostname="h"))
            assert make_formatter(settings).format(row).startswith(b"<134>" + expected)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_duo_log_syncs_header_says_when_it_was_sent_in_the_machines_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert _header("dls")(0, 2, "auth") == "Mar 02 13:39:10 h "
        monkeypatch.setattr(socket, "gethostname", lambda: "node7.example.com")
        assert _header("dls", hostname="")(0, 2, "auth") == "Mar 02 13:39:10 node7.example.com "
    finally:
        monkeypatch.undo()
        time.tzset()


def test_names_are_made_printable_ascii_and_cut() -> None:
    header = _header("rfc5424", hostname="bü ro\n" + "x" * 300, app_name="my app" + "y" * 60)(_TIME_MS, 6, "auth")
    host, app = header.split(" ")[2:4]
    assert re.fullmatch(r"b__ro_x{249}", host)
    assert re.fullmatch(r"my_appy{42}", app)


def test_the_programs_name_can_have_the_log_in_it() -> None:
    header = _header("rfc5424", app_name="duo-{log_type}")
    assert [header(_TIME_MS, 6, log_type).split(" ")[3] for log_type in ("auth", "activity", "auth")] == [
        "duo-auth", "duo-activity", "duo-auth",
    ]  # fmt: skip
    assert _header("rfc3164", app_name="duo-{log_type}")(_TIME_MS, 6, "telephony").endswith(" h duo-telephony: ")
    assert _header("rfc3164", app_name="{log_type}{x}")(_TIME_MS, 6, "auth").endswith(" h auth_x_: ")


def test_a_tag_holds_what_syslog_daemons_take_for_one() -> None:
    assert _header("rfc3164", app_name="my app[1]: " + "y" * 40)(_TIME_MS, 6, "auth").endswith(
        " h my_app_1___" + "y" * 21 + ": "
    )


def test_without_a_name_the_machines_is_used_and_rfc_3164_leaves_the_domain_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node7.example.com")
    assert " node7.example.com " in _header("rfc5424", hostname="")(_TIME_MS, 6, "auth")
    assert " node7 " in _header("rfc3164", hostname="")(_TIME_MS, 6, "auth")
    assert " 192.0.2.1 " in _header("rfc3164", hostname="192.0.2.1")(_TIME_MS, 6, "auth")


def test_the_facility_moves_the_priority() -> None:
    assert _header("rfc5424", facility=0)(_TIME_MS, 0, "auth").startswith("<0>1 ")
    assert _header("rfc5424", facility=23)(_TIME_MS, 7, "auth").startswith("<191>1 ")


@pytest.mark.parametrize("settings", [SyslogHeader("rfc9999"), SyslogHeader("rfc5424", facility=24)])
def test_impossible_settings_are_refused_when_the_formatter_is_made(settings: SyslogHeader) -> None:
    with pytest.raises(ValueError, match=r"rfc9999|24"):
        make_formatter(Format(JsonOptions(), header=settings))


@pytest.mark.parametrize(
    ("severity", "outcome", "expected"),
    [(2, None, 6), (3, "success", 6), (5, "success", 5), (5, "failure", 4), (6, "failure", 4), (8, None, 3), (9, "failure", 2)],
)
def test_the_syslog_severity_follows_the_events(severity: int, outcome: str | None, expected: int) -> None:
    assert syslog_header.syslog_severity(_facts(severity, outcome)) == expected


def test_no_format_writes_a_byte_order_mark() -> None:
    for name in FORMATS:
        for style in ("rfc5424", "rfc3164"):
            message = make_formatter(Format(FORMATS[name].options(), header=SyslogHeader(style))).format(
                DuoEvent(Stream("acme", "auth"), b"{}")
            )
            assert b"\xef\xbb\xbf" not in message


def test_the_version_in_messages_is_the_products() -> None:
    assert pipelines.__version__ == version.PRODUCT_VERSION
