"""Cursors: values, and the bytes that savepoints and checkpoint files hold."""

import pytest

from transforms.duo.cursor import Cursor, CursorUnreadable, row_digest

# Written by release 1.0.0. Later releases must go on reading these bytes: savepoints and checkpoint files hold them.
FROZEN = (
    b'{"v":1,"seq":42,"min":1700000000000,"max":1700000600000,'
    b'"next":"1700000000123,5bea1c1e-612c-4f1d-b310-75fd31385b15","skip":["b1FMk3CJ_0ax"],"tail":["6o7Bd6LQlt3y"]}'
)
FROZEN_CURSOR = Cursor(
    mintime_ms=1_700_000_000_000,
    maxtime_ms=1_700_000_600_000,
    next_offset="1700000000123,5bea1c1e-612c-4f1d-b310-75fd31385b15",
    skip=("b1FMk3CJ_0ax",),
    tail=("6o7Bd6LQlt3y",),
    seq=42,
)


def test_the_bytes_of_version_1_are_frozen():
    assert FROZEN_CURSOR.to_json() == FROZEN


def test_the_frozen_bytes_are_read_back():
    assert Cursor.from_json(FROZEN) == FROZEN_CURSOR


def test_what_is_absent_is_not_written_and_the_mark_of_a_quiet_stream_stays_tiny():
    encoded = Cursor(mintime_ms=1_700_000_000_000, seq=7).to_json()

    assert encoded == b'{"v":1,"seq":7,"min":1700000000000}'


def test_fields_of_a_later_release_with_the_same_version_are_passed_over():
    assert Cursor.from_json(b'{"v":1,"seq":7,"min":1700000000000,"later":true}') == Cursor(1_700_000_000_000, seq=7)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"v":1}', b'{"v":2,"seq":1,"min":5}', b'{"v":1,"seq":1,"min":5,"max":4}'],
)
def test_what_is_no_cursor_is_refused_with_a_reason(garbage):
    with pytest.raises(CursorUnreadable, match=r"\w"):
        Cursor.from_json(garbage)


def test_every_step_has_a_higher_sequence_number():
    first = Cursor(mintime_ms=5)

    assert first.step(next_offset="x").seq == 1
    assert first.step().step().seq == 2


@pytest.mark.parametrize(
    ("offset", "position_ms"),
    [
        (None, 1_700_000_000_000),
        ("1700000000123,abc", 1_700_000_000_123),
        ("1600000000123,abc", 1_700_000_000_000),  # never before the window
        ("99999", 1_700_000_000_000),  # the trust monitor's opaque text
    ],
)
def test_the_position_follows_the_page_cursor_where_it_tells_a_time(offset, position_ms):
    assert Cursor(1_700_000_000_000, 1_700_000_600_000, offset).position_ms == position_ms


def test_rows_without_an_id_are_told_apart_by_their_content():
    assert row_digest(None, b'{"a":1}') != row_digest(None, b'{"a":2}')
    assert row_digest("id", b'{"a":1}') == row_digest("id", b'{"a":2}')
