"""Cursors: values, and the bytes that savepoints and checkpoint files hold."""

import pytest

from transforms.state.cursor import Cursor, CursorUnreadable, Gap
from transforms.state.seen import count_seen, is_in, packed, with_seen, without_old

# Written by release 1.0.0. Later releases must go on reading these bytes: savepoints and checkpoint files hold them.
FROZEN = (
    b'{"v":1,"seq":42,"min":1700000000000,"max":1700000600000,'
    b'"next":"1700000000123,5bea1c1e-612c-4f1d-b310-75fd31385b15","end":1700000300000,"deep":true,"stuck":2,"swept":1699999900000,'
    b'"rows":1000,"total":2233,"since":1699999800000,"seen":{"28333330":"AQAAAAAAAAAHAAAAAAAAgA==","28333331":"AAAAAAAAAAA="},'
    b'"begin":1700000000000,"at":1700000000123,"doubts":1,"border":{"00000000000000ff":2},'
    b'"gaps":[{"from_ms":1699990000000,"to_ms":1699990060000,"missing":3000,"tries":1,"due_ms":1700000900000,'
    b'"next":"1699990000123,5bea1c1e","reached_ms":1699990000123,"found":7,"known":"AQAAAAAAAAA="}]}'
)
FROZEN_CURSOR = Cursor(
    mintime_ms=1_700_000_000_000,
    maxtime_ms=1_700_000_600_000,
    next_offset="1700000000123,5bea1c1e-612c-4f1d-b310-75fd31385b15",
    end_ms=1_700_000_300_000,
    deep=True,
    stuck=2,
    swept_ms=1_699_999_900_000,
    window_rows=1_000,
    window_total=2_233,
    seen_from_ms=1_699_999_800_000,
    seen={28_333_331: packed([0]), 28_333_330: packed([2**63 + 7, 1])},
    begin_ms=1_700_000_000_000,
    reached_ms=1_700_000_000_123,
    doubts=1,
    border={"00000000000000ff": 2},
    gaps=(
        Gap(
            from_ms=1_699_990_000_000,
            to_ms=1_699_990_060_000,
            missing=3_000,
            tries=1,
            due_ms=1_700_000_900_000,
            next="1699990000123,5bea1c1e",
            reached_ms=1_699_990_000_123,
            found=7,
            known=packed([1]),
        ),
    ),
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
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"v":1}',
        b'{"v":2,"seq":1,"min":5}',
        b'{"v":1,"seq":1,"min":5,"max":4}',
        b'{"v":1,"seq":1,"min":5,"seen":{"x":[]}}',
        b'{"v":1,"seq":1,"min":5,"seen":{"1":"AAAA"}}',
        b'{"v":1,"seq":1,"min":5,"gaps":[{"from_ms":1,"to_ms":2,"missing":3,"known":"AAAA"}]}',
    ],
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


def test_what_is_remembered_is_kept_from_a_time_on_and_within_a_bound():
    seen = with_seen({}, [(minute, 100 * minute + n) for minute in range(10) for n in range(10)])

    kept, whole_from_ms = without_old(seen, 5 * 60_000 + 1, most_rows=1_000)
    assert (sorted(kept), whole_from_ms) == ([5, 6, 7, 8, 9], 5 * 60_000 + 1)
    kept, whole_from_ms = without_old(seen, 0, most_rows=35)
    assert (sorted(kept), whole_from_ms) == ([7, 8, 9], 7 * 60_000)
    assert count_seen(seen, 8 * 60_000) == 20


def test_remembering_more_leaves_the_older_value_as_it_was():
    before = with_seen({}, [(1, 7)])
    after = with_seen(before, [(1, 3), (1, 7), (2, 2**64 - 1)])

    assert before == {1: packed([7])}
    assert after == {1: packed([3, 7]), 2: packed([2**64 - 1])}
    assert [digest for digest in (0, 3, 5, 7, 9) if is_in(after[1], digest)] == [3, 7]


def test_what_releases_before_the_first_remembered_is_read_again():
    before = b'{"v":1,"seq":7,"min":1700000000000,"seen":{"28333330":["6o7Bd6LQlt3y"]}}'

    assert Cursor.from_json(before) == Cursor(1_700_000_000_000, seq=7)
