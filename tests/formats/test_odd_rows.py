"""Whatever bytes Duo puts into a page: each row becomes one line, or is refused; nothing else is raised."""

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duo.odd_rows import odd_rows
from tests.formats import golden
from transforms.coders import DuoEvent, EventBatch, Stream
from transforms.duo.client.answers import read_page
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.values import iso_to_ms
from transforms.errors import RetryLater, Undeliverable
from transforms.formats import FORMATS, FormatKind, make_formatter, syslog_header
from transforms.formats.apply import FormatBatches
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Format, SyslogHeader

STREAM = Stream("acme", "activity")
ODD = odd_rows("odd", "2023-11-14T22:13:20.123+00:00")
FORMATTERS = [make_formatter(settings) for settings in (Format(JsonOptions()), *golden.FORMATS.values())]
GOLDEN_ROWS = [(path.parent.name, path.read_bytes().strip()) for path in golden.rows()]
_STRANGE = [b"\\ud800", b"NaN", b"-Infinity", b"\x00", b"\n", b"\r", b'"', b"\\", b"\xff", b"[" * 2_000, b"{", b"}", b"]", b","]
mutations = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), st.one_of(st.sampled_from(_STRANGE), st.binary(max_size=3))), max_size=4
)


def served(log_type: str, row: bytes) -> list[bytes]:
    """The rows that are read of an answer with this row."""
    key = LOG_TYPES[log_type].rows_key.encode()
    rows = b'{"ok":1},%b,{"ok":2}' % row
    response = b'{"%b":[%b],"metadata":{"next_offset":"1,a"}}' % (key, rows) if key else b"[%b]" % rows
    return read_page(b'{"stat":"OK","response":%b}' % response, LOG_TYPES[log_type]).rows


@given(row=st.sampled_from(GOLDEN_ROWS), mutations=mutations)
@settings(max_examples=600, deadline=None)
def test_a_damaged_row_becomes_one_line_or_is_refused(row, mutations):
    log_type, raw = row
    for place, gone, put in mutations:
        at = int(place * len(raw))
        raw = raw[:at] + put + raw[at + gone :]
    try:
        rows = served(log_type, raw)
    except RetryLater:
        return  # the damage reaches beyond the row
    for each in rows:
        time_ms = LOG_TYPES[log_type].row_key(each).time_ms
        assert time_ms is None or 0 <= time_ms < 253_402_300_800_000
        for formatter in FORMATTERS:
            try:
                message = formatter.format(DuoEvent(Stream("acme", log_type), each))
            except Undeliverable:
                continue
            assert not set(message) & {0, 10, 13}


@pytest.mark.parametrize("kind", ODD)
def test_cef_says_of_an_odd_row_what_can_be_said(kind):
    (_, row, _) = served("activity", ODD[kind])
    message = make_formatter(Format(CefOptions())).format(DuoEvent(STREAM, row)).decode()

    assert " externalId=odd" in message
    if b"bob" in row and b"actor" in row:
        assert " suser=bo" in message


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "no UTF-8"])
def test_json_of_an_odd_row_can_be_parsed(kind):
    (_, row, _) = served("activity", ODD[kind])
    message = make_formatter(Format(JsonOptions())).format(DuoEvent(STREAM, row))

    assert b"NaN," not in message
    if "nesting" not in kind and kind != "huge numbers":
        assert json.loads(message)["activity_id"] == "odd"


def test_json_refuses_what_is_no_utf_8():
    with pytest.raises(Undeliverable) as caught:
        make_formatter(Format(JsonOptions())).format(DuoEvent(STREAM, ODD["no UTF-8"]))

    assert caught.value.reason == "not_utf8"


@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.1234567-23:59", "0001-01-01T00:00:00+01:00", "1969-12-31T23:59:59"],
)
def test_a_time_that_a_zone_leads_out_of_the_calendar_is_none(text):
    assert iso_to_ms(text) is None


@pytest.mark.parametrize("style", ["rfc5424", "rfc3164"])
@pytest.mark.parametrize("time_ms", [-1, -(10**30), 253_402_300_800_000, 10**30, None])
@pytest.mark.parametrize("now_ms", [0, -5, 10**20, 1_700_000_000_000])
def test_a_header_is_written_for_every_time(style, time_ms, now_ms):
    header = syslog_header.make(SyslogHeader(style, hostname="h"), tagged=True, clock_ms=lambda: now_ms)

    assert header(time_ms, 6, "auth").startswith("<134>")


class _Broken:
    def format(self, event: DuoEvent) -> bytes:
        raise KeyError(event.raw)


def test_an_error_of_a_format_is_a_dead_letter_and_told_once_without_the_event(monkeypatch, caplog):
    monkeypatch.setitem(FORMATS, "json", FormatKind(JsonOptions, lambda _: _Broken()))
    step = FormatBatches(Format(JsonOptions()), "siem")
    step.setup()
    with caplog.at_level(logging.ERROR):
        (dead,) = step.process_batch(EventBatch.of(DuoEvent(STREAM, b'{"secret":%d}' % number) for number in (1, 2)))

    assert [letter.reason for letter in dead.value] == ["format_failed"] * 2
    assert (dead.tag, dead.value[0].raw) == ("dead", b'{"secret":1}')
    assert len(caplog.records) == 1
    assert "KeyError" in caplog.text
    assert "in format" in caplog.text
    assert '{"secret"' not in caplog.text
