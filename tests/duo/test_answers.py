"""What is read of an answer: one odd row never costs the others, and the way on is found beside it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.duo.fake_duo import ACTIVITY, NOW_MS, READING, TRUST, inside
from tests.duo.odd_rows import odd_rows
from transforms.duo.client.answers import read_children, read_page
from transforms.duo.client.loose_json import NotCut, elements, members, on_one_line, without_depth
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.paging import after_answer
from transforms.errors import RetryLater
from transforms.state.cursor import Cursor

MOMENT = "2023-11-14T22:13:20.123+00:00"
GOOD = b'{"activity_id" : "good", "ts":"2023-11-14T22:13:20.123+00:00","x":"\\"}],{"}'
META = b'{"next_offset":"1700000000123,good","total_objects":3}'
ODD = odd_rows("odd", MOMENT)


def page(rows: bytes, metadata: bytes = META, *, key: bytes = b"items") -> bytes:
    return b'{"stat":"OK","response":{"%b":[%b],"metadata":%b}}' % (key, rows, metadata)


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_row_costs_no_other_and_the_way_on_is_found(kind):
    answer = read_page(page(b", ".join([GOOD, ODD[kind], GOOD])), ACTIVITY)

    assert [answer.rows[0], answer.rows[2]] == [GOOD, GOOD]
    assert (answer.next_offset, answer.total, answer.cursor_lost) == ("1700000000123,good", 3, False)


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_row_is_one_line_and_its_key_is_read(kind):
    odd = read_page(page(b"\n" + ODD[kind] + b"\n"), ACTIVITY).rows[0]

    assert not set(odd) & {0, 10, 13}
    assert ACTIVITY.row_key(odd) == (1_700_000_000_123, "odd")


@pytest.mark.parametrize(
    "kind", ["lone surrogate", "deep nesting", "very deep nesting", "no UTF-8", "a key twice", "huge numbers"]
)
def test_an_odd_row_that_is_one_line_already_stays_as_duo_sent_it(kind):
    assert read_page(page(ODD[kind]), ACTIVITY).rows == [ODD[kind]]


def test_control_characters_become_their_escapes_and_what_json_cannot_write_becomes_a_text():
    odd = b'{"a\t":"x\ny\\n\x00","b":NaN,\r\n"c":[-Infinity,Infinity],"NaN":"NaN"}'

    assert json.loads(on_one_line(odd)) == {"a\t": "x\ny\n\x00", "b": "NaN", "c": ["-Infinity", "Infinity"], "NaN": "NaN"}


@pytest.mark.parametrize("total", [b'{"value":3,"relation":"eq","x":NaN}', b'3,"odd":"\\ud800"', b'3,"x":"\x01"'])
def test_metadata_that_is_odd_elsewhere_still_leads_on(total):
    answer = read_page(page(GOOD, b'{"next_offset":"1,a","total_objects":%b}' % total), ACTIVITY)

    assert (answer.rows, answer.next_offset, answer.total) == ([GOOD], "1,a", 3)


@pytest.mark.parametrize(
    "metadata", [b'{"next_offset":"1,\\ud800"}', b'{"next_offset":{"a":1}}', b"[NaN]", b'{"next_offset":1,,}']
)
def test_a_page_cursor_that_cannot_be_sent_is_lost_and_not_taken_for_the_end(metadata):
    answer = read_page(page(GOOD, metadata), ACTIVITY)

    assert (answer.rows, answer.next_offset, answer.cursor_lost) == ([GOOD], None, True)


@pytest.mark.parametrize("metadata", [b"null", b"{}", b'{"next_offset":null,"x":NaN}'])
def test_metadata_without_a_page_cursor_is_the_end(metadata):
    assert not read_page(page(GOOD, metadata), ACTIVITY).cursor_lost


def test_a_byte_order_mark_and_what_follows_the_answer_are_passed_over():
    assert read_page(b"\xef\xbb\xbf" + page(GOOD) + b"\n\x00", ACTIVITY).rows == [GOOD]


def test_a_list_that_is_the_response_itself_is_taken_apart_too():
    odd = b'{"timestamp":1700000000,"username":"bob\\ud800"}'

    assert read_page(b'{"stat":"OK","response":[%b,%b]}' % (odd, GOOD), LOG_TYPES["admin"]).rows == [odd, GOOD]
    assert read_page(page(odd, b'{"next_offset":7}', key=b"events"), TRUST).next_offset == "7"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"stat":"FAIL","response":{"items":[NaN]}}',
        b'{"stat":"OK","response":{"metadata":NaN}}',
        b'{"stat":"OK","response":null}',
        page(GOOD + b"," + ODD["NaN"])[:-30],
        page(GOOD + b',{"a":"\\"}'),
        page(b'{"a":[1}]'),
        page(b"]"),
    ],
)
def test_a_body_without_a_whole_list_of_rows_is_asked_for_again(body):
    with pytest.raises(RetryLater) as caught:
        read_page(body, ACTIVITY)

    assert caught.value.kind == "malformed"


def test_parts_are_found_whatever_is_inside_of_them():
    text = b' { "a" : [1, {"b":"]}"}] , "c":"\\\\" , "a" : 2 } rest'

    assert {key: text[slice(*span)] for key, span in members(text).items()} == {b"a": b"2", b"c": b'"\\\\"'}
    assert [text[slice(*span)] for span in elements(text, text.index(b"["))] == [b"1", b'{"b":"]}"}']
    assert elements(b"[]") == elements(b"[ ]") == []
    assert members(b"{}") == {}


@pytest.mark.parametrize("text", [b"", b"[", b"[1", b'["', b"[}", b"[1}", b"{1:2", b"7", b'["\\"]'])
def test_what_has_no_end_is_not_cut(text):
    with pytest.raises(NotCut):
        elements(text)


def test_what_lies_too_deep_is_left_out():
    assert without_depth(b'{"a":[1,{"b":[2]}],"c":[[3]]}', 2) == b'{"a":[1,null],"c":[null]}'
    assert without_depth(b'{"a":1}', 2) == b'{"a":1}'


def test_an_odd_name_of_one_child_hides_no_other():
    odd = b'{"account_id":"DA1","name":"Bob\\ud800 \x01\xff"}'
    body = b'{"stat":"OK","response":[%b,{"account_id":"DA2","name":NaN},7,{"name":"x"}]}' % odd
    first, second = read_children(body)

    assert (first["account_id"], first["name"]) == ("DA1", "Bob\ufffd \x01\ufffd")
    assert second["account_id"] == "DA2"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"response":null}', b"[" * 100_000])
def test_a_list_of_children_that_cannot_be_read_is_asked_for_again(body):
    with pytest.raises(RetryLater):
        read_children(body)


_BODIES = [page(b", ".join([GOOD, b"\n", ODD[kind][:300], GOOD])) for kind in ODD] + [page(GOOD + b",\n" + GOOD)]
_STRANGE = [b"\n", b"\r\n", b"\x00", b"\xff", b"\\ud800", b"NaN", b'"', b"{", b"}", b"[", b"]", b",", b"\xe2\x80\xa8"]


@given(
    body=st.sampled_from(_BODIES),
    mutations=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 3), st.one_of(st.sampled_from(_STRANGE), st.binary(max_size=3))), max_size=4
    ),
)
@settings(max_examples=1_000, deadline=None)
def test_a_damaged_page_is_read_or_asked_for_again(body, mutations):
    for place, gone, put in mutations:
        at = int(place * len(body))
        body = body[:at] + put + body[at + gone :]
    try:
        answer = read_page(body, ACTIVITY)
    except RetryLater:
        return

    assert not any(set(raw) & {0, 10, 13} for raw in answer.rows)
    assert answer.next_offset is None or answer.next_offset.encode()
    step = after_answer(ACTIVITY, inside(NOW_MS - 3_600_000, NOW_MS), answer, READING)
    assert step.cursor == Cursor.from_json(step.cursor.to_json())
    assert step.cursor.position_ms
