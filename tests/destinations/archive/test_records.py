"""What an archive's files are like: frozen, the same for the same events, and read whatever stood in the events."""

import base64
import io
import random

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.days import UNDATED, day_of
from transforms.destinations.archive.records import SCHEMA, Archived, directory_of, file_of, read_file
from transforms.records import Stream

STREAM = Stream("acme/DA1", "auth", "api-1.duosecurity.com", "DA1")
EVENTS = [
    Archived(STREAM, 1_795_000_000_123, "t-1", b'{"txid":"t-1"}'),
    Archived(STREAM, 1_795_000_001_000, None, b'{"n":2}'),
    Archived(STREAM, None, None, b"", b"only the message is left"),
]

FROZEN = base64.b64decode(
    b"T2JqAQQUYXZyby5jb2RlYw5kZWZsYXRlFmF2cm8uc2NoZW1hkA57InR5cGUiOiAicmVjb3JkIiwgIm5hbWUiOiAiRHVvRXZlbnQiLCAibmFtZX"
    b"NwYWNlIjogImR1b2xvZ3N5bmMiLCAiZG9jIjogIkFuIGV2ZW50IG9mIGEgRHVvIGxvZywgdmVyc2lvbiAxLiBOZXcgZmllbGRzIGdldCBhIGRl"
    b"ZmF1bHQsIHNvIHRoYXQgb2xkZXIgZmlsZXMgc3RheSByZWFkYWJsZS4iLCAiZmllbGRzIjogW3sibmFtZSI6ICJhY2NvdW50IiwgInR5cGUiOi"
    b"Aic3RyaW5nIn0sIHsibmFtZSI6ICJsb2dfdHlwZSIsICJ0eXBlIjogInN0cmluZyJ9LCB7Im5hbWUiOiAiYXBpX2hvc3QiLCAidHlwZSI6ICJz"
    b"dHJpbmciLCAiZGVmYXVsdCI6ICIifSwgeyJuYW1lIjogImFjY291bnRfaWQiLCAidHlwZSI6IFsibnVsbCIsICJzdHJpbmciXSwgImRlZmF1bH"
    b"QiOiBudWxsLCAiZG9jIjogIm9mIGEgY2hpbGQgb2YgYW4gTVNQIn0sIHsibmFtZSI6ICJ0aW1lX21zIiwgInR5cGUiOiBbIm51bGwiLCB7InR5"
    b"cGUiOiAibG9uZyIsICJsb2dpY2FsVHlwZSI6ICJ0aW1lc3RhbXAtbWlsbGlzIn1dLCAiZGVmYXVsdCI6IG51bGwsICJkb2MiOiAid2hlbiBpdC"
    b"BoYXBwZW5lZDsgbnVsbCB3aGVyZSB0aGUgZXZlbnQgZG9lcyBub3Qgc2F5IGl0In0sIHsibmFtZSI6ICJpZCIsICJ0eXBlIjogWyJudWxsIiwg"
    b"InN0cmluZyJdLCAiZGVmYXVsdCI6IG51bGwsICJkb2MiOiAiRHVvJ3Mgb3duIGlkIG9mIGl0In0sIHsibmFtZSI6ICJyYXciLCAidHlwZSI6IC"
    b"JieXRlcyIsICJkb2MiOiAidGhlIGV2ZW50IGFzIER1byBzZW50IGl0OyBlbXB0eSB3aGVyZSBvbmx5IHRoZSBtZXNzYWdlIGlzIGxlZnQifSwg"
    b"eyJuYW1lIjogIm1lc3NhZ2UiLCAidHlwZSI6ICJieXRlcyIsICJkZWZhdWx0IjogIiIsICJkb2MiOiAidGhlIGZvcm1hdHRlZCBtZXNzYWdlLC"
    b"B3aGVyZSB0aGUgZXZlbnQgaXRzZWxmIGlzIGdvbmUifV19AB48x/b3MUjt6/tIVx2bZ4cG7gETSEzOTdV3cTTkSCwtydBKLMjUNdRLKc0vTk0u"
    b"LcosqdRLzs9lYgPKM337uenp3gwmthJdQ5lqpZKKzBQlKyUgR6mWQYBoQy60bwYawsBXrZSnZGVEgk4GBgaD/LycSoWSjFSF3NTi4sT0VIXMYo"
    b"Wc1LQSAAMOQB48x/b3MUjt6/tIVx2bZ4c="
)
"""A file of EVENTS as the first release wrote it."""


def read(content: bytes) -> list[Archived]:
    return list(read_file(io.BytesIO(content), "x.avro"))


def test_what_the_first_release_wrote_is_read_by_every_later_one():
    assert read(FROZEN) == EVENTS


def test_the_first_release_reads_what_a_later_one_with_another_field_writes():
    later = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "colour", "type": "string", "default": "blue"}]}
    content = io.BytesIO()
    record = {"account": "a", "log_type": "auth", "raw": b"{}", "message": b"", "colour": "red"}
    fastavro.writer(content, later, [record])
    content.seek(0)
    assert [event.raw for event in read_file(content, "x.avro")] == [b"{}"]


def test_a_later_release_reads_a_file_that_lacks_what_was_added_since():
    first = {**SCHEMA, "fields": [field for field in SCHEMA["fields"] if "default" not in field]}
    content = io.BytesIO()
    fastavro.writer(content, first, [{"account": "a", "log_type": "auth", "raw": b"{}"}])
    content.seek(0)
    assert list(read_file(content, "x.avro")) == [Archived(Stream("a", "auth"), None, None, b"{}")]


def test_every_field_that_is_not_of_the_first_schema_has_a_default():
    required = [field["name"] for field in SCHEMA["fields"] if "default" not in field]
    assert required == ["account", "log_type", "raw"]


def test_the_same_events_make_the_same_file_under_the_same_name():
    assert file_of(EVENTS) == file_of(list(EVENTS))


def test_other_events_or_another_order_make_another_file():
    names = {file_of(events)[0] for events in (EVENTS, EVENTS[:2], EVENTS[::-1], [EVENTS[0]._replace(id="t-2"), *EVENTS[1:]])}
    assert len(names) == 4


def test_the_name_says_when_and_how_many():
    name, _ = file_of(EVENTS)
    assert name.startswith("110640123-110641000-3-")
    assert name.endswith(".avro")


def test_names_are_in_the_order_of_time():
    some = [Archived(STREAM, 1_794_960_000_000 + 1000 * n, None, b"%d" % n) for n in range(0, 86_400, 977)]
    shuffled = random.sample(some, len(some))
    in_order = sorted(shuffled, key=lambda event: file_of([event])[0])
    assert in_order == some


@pytest.mark.parametrize(
    ("time_ms", "day"),
    [
        (0, "1970-01-01"),
        (1_795_000_000_123, "2026-11-18"),
        (None, UNDATED),
        (-1, UNDATED),
        (10**18, UNDATED),
    ],
)
def test_the_day_is_that_of_the_event_in_utc(time_ms, day):
    assert day_of(time_ms) == day
    _, content = file_of([Archived(STREAM, time_ms, None, b"{}")])
    assert [event.time_ms for event in read(content)] == [time_ms if day != UNDATED else None]


@pytest.mark.parametrize("account", ["", "..", "../../etc", "/etc", ".git", "a\nb", "x" * 500])
def test_no_account_s_name_leads_out_of_the_archive(account):
    parts = directory_of(Stream(account, "auth"), "2026-11-18").split("/")
    assert all(parts), "else it would be a path from the root"
    assert len(parts) == 3
    assert not parts[0].startswith(".")
    assert len(parts[0]) <= 80


_TEXTS = st.text(st.characters(), max_size=20)


@given(
    _TEXTS, _TEXTS, st.none() | _TEXTS, st.none() | _TEXTS, st.binary(max_size=200), st.none() | st.integers(-(2**62), 2**62)
)
def test_whatever_stands_in_an_event_can_be_written_and_its_row_is_read_byte_for_byte(
    account, log_type, account_id, event_id, raw, time_ms
):
    stream = Stream(account, log_type, "", account_id)
    _, content = file_of([Archived(stream, time_ms, event_id, raw)])
    (found,) = read(content)
    assert found.raw == raw
    assert day_of(found.time_ms) == day_of(time_ms)


@pytest.mark.parametrize("damage", ["cut", "flipped", "no file of ours"])
def test_a_damaged_file_is_told(damage):
    content = file_of(EVENTS)[1]
    damaged = {"cut": content[:-20], "flipped": content[:-30] + bytes(10) + content[-20:], "no file of ours": b"hello"}[damage]
    with pytest.raises(ValueError, match="is not a file of an archive, or a damaged one"):
        read(damaged)
