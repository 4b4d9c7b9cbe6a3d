"""JSON is Duo's row, byte for byte, in one line, or it is refused with its reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import strategies
from transforms.coders import DuoEvent, Stream
from transforms.errors import Undeliverable
from transforms.formats import make_formatter
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Format, SyslogHeader

_STREAM = Stream("parent/acme", "auth", account_id="DA1")
_HEADER = SyslogHeader("rfc5424", hostname="h")


def _format(raw: bytes, stream: Stream = _STREAM, header: SyslogHeader | None = None, **options: object) -> bytes:
    return make_formatter(Format(JsonOptions(**options), header)).format(DuoEvent(stream, raw))


@pytest.mark.parametrize("raw", [b'{"a" : 1.50e0, "b":"\\u00e9\\/"}', '{"name":"zoë\u2028"}'.encode(), b'{"a":1,"a":2}', b"{}"])
def test_a_row_leaves_as_it_came(raw: bytes) -> None:
    assert _format(raw) == raw


def test_a_line_break_between_tokens_goes_and_all_else_stays() -> None:
    assert _format(b'{"a":\n 1.50e0,\r\n"b": "\\u00e9 x"}\n') == b'{"a":1.50e0,"b":"\\u00e9 x"}'


def test_the_envelope_says_where_the_row_is_from_and_holds_it_byte_for_byte() -> None:
    raw = b'{"a" : 1.50e0}'
    message = _format(raw, envelope=True)
    assert message == b'{"log_type":"auth","account":"parent/acme","account_id":"DA1","event":' + raw + b"}"


def test_the_envelope_of_a_tenant_of_its_own_has_no_account_id() -> None:
    assert json.loads(_format(b"{}", Stream("acme", "auth"), envelope=True)) == {
        "log_type": "auth",
        "account": "acme",
        "event": {},
    }


def test_the_envelope_follows_the_stream_from_event_to_event() -> None:
    formatter = make_formatter(Format(JsonOptions(envelope=True)))
    accounts = ["a", "b", "a"]
    read = [json.loads(formatter.format(DuoEvent(Stream(account, "auth"), b"{}")))["account"] for account in accounts]
    assert read == accounts


def test_an_account_name_cannot_break_the_envelope() -> None:
    assert json.loads(_format(b"{}", Stream('a","x":"\n', "auth"), envelope=True))["account"] == 'a","x":"\n'


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        (b'{"a" : 1.50e0}', b'{"duo_log":"auth","a" : 1.50e0}'),
        (b"{}", b'{"duo_log":"auth"}'),
        (b"{ \n}", b'{"duo_log":"auth"}'),
        (b' {"duo_log":"forged"}', b'{"duo_log":"auth","duo_log":"forged"}'),
    ],
)
def test_the_key_of_the_log_stands_before_all_that_the_row_says(raw: bytes, written: bytes) -> None:
    assert _format(raw, log_key="duo_log") == written


def test_a_childs_row_can_say_its_log_at_the_front_and_its_account_at_the_end() -> None:
    options = JsonOptions(log_key="duo_log").completed(of_msp=True)
    assert (options.envelope, options.account_key) == (False, "child_account_id")
    formatter = make_formatter(Format(options))
    assert formatter.format(DuoEvent(_STREAM, b'{"a":1}')) == b'{"duo_log":"auth","a":1,"child_account_id":"DA1"}'
    assert formatter.format(DuoEvent(Stream("acme", "activity"), b'{"a":1}')) == b'{"duo_log":"activity","a":1}'


def test_of_events_without_children_only_the_log_is_said() -> None:
    assert JsonOptions(log_key="duo_log").completed(of_msp=False) == JsonOptions(envelope=False, log_key="duo_log")


def test_a_header_has_the_rows_own_time() -> None:
    raw = b'{"isotimestamp":"2023-11-14T22:13:20.123456+00:00"}'
    assert _format(raw, header=_HEADER) == b"<134>1 2023-11-14T22:13:20.123Z h duologsync - auth - " + raw


@pytest.mark.parametrize("options", [{}, {"envelope": True}, {"header": _HEADER}, {"header": _HEADER, "envelope": True}])
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a":1', "not_an_object"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b'{"a":"x\ny"}', "not_json"),
        (b'{"a":"\x00"}', "not_json"),
        (b'{\r"a":}', "not_json"),
    ],
)
def test_what_cannot_be_one_line_of_utf_8_is_refused_with_its_reason(
    raw: bytes, reason: str, options: dict[str, object]
) -> None:
    with pytest.raises(Undeliverable) as refusal:
        _format(raw, **options)
    assert refusal.value.reason == reason


def test_an_unknown_log_type_is_undeliverable_where_its_time_is_needed() -> None:
    with pytest.raises(Undeliverable) as refusal:
        _format(b"{}", Stream("acme", "newest"), header=_HEADER)
    assert refusal.value.reason == "unknown_log_type"


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=40), strategies.rows("auth"), st.text(alphabet='{}":,a \n\r\x00', max_size=12).map(str.encode))
)
def test_a_message_is_one_line_or_refused(raw: bytes) -> None:
    for options in ({}, {"header": _HEADER, "envelope": True}):
        try:
            message = _format(raw, **options)
        except Undeliverable:
            continue
        assert not set(b"\r\n\0") & set(message)
        assert message.decode()


def test_a_childs_row_gets_its_account_at_the_end_and_keeps_its_own_bytes() -> None:
    raw = b'{"a" : 1.50e0, "b":"\\u00e9"}'
    assert _format(raw, account_key="child_account_id") == raw[:-1] + b',"child_account_id":"DA1"}'


def test_a_childs_empty_row_is_still_json_with_its_account() -> None:
    assert json.loads(_format(b"{ }", account_key="child_account_id")) == {"child_account_id": "DA1"}


def test_a_tenant_of_its_own_gets_no_key() -> None:
    assert _format(b'{"a":1}', Stream("acme", "auth"), account_key="child_account_id") == b'{"a":1}'


def test_the_key_follows_the_stream_from_event_to_event() -> None:
    formatter = make_formatter(Format(JsonOptions(account_key="k")))
    ids = ["DA1", None, "DA2", "DA1"]
    read = [json.loads(formatter.format(DuoEvent(Stream("p", "auth", account_id=each), b"{}"))).get("k") for each in ids]
    assert read == ids


def test_the_key_stands_behind_a_header_too() -> None:
    message = _format(b'{"a":1}', header=_HEADER, account_key="child_account_id")
    assert message.endswith(b' - {"a":1,"child_account_id":"DA1"}')
