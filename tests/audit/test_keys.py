"""Keys: an event has the same one in Duo's row, in every message that we make of it, and in what a SIEM shows of that."""

import json
from pathlib import Path

import pytest

from transforms.destinations.stored.keys import Keys

GOLDEN = Path(__file__).parents[1] / "golden"
IDS = {"auth": "txid", "activity": "activity_id", "telephony": "telephony_id", "trustmonitor": "sekey"}
KEYS = Keys("txid")


def rows(log):
    """A row of Duo's with an id, and the golden files of what each format makes of it."""
    for path in sorted((GOLDEN / log).glob("*.json")):
        if path.name.count(".") == 1:
            row = path.read_bytes()
            event_id = json.loads(row).get(IDS[log])
            if isinstance(event_id, str) and event_id.isascii() and " " not in event_id and event_id:
                yield event_id, row, [each for each in path.parent.glob(f"{path.stem}.*") if each != path]


@pytest.mark.parametrize("log", IDS)
def test_an_id_is_found_in_the_message_of_every_format_behind_every_header(log):
    keys, seen = Keys(IDS[log]), 0
    for event_id, row, messages in rows(log):
        assert keys.of_text(row) == f"id:{event_id}"
        for message in messages:
            if text := message.read_bytes().strip():
                assert keys.of_text(text) == f"id:{event_id}", message.name
                seen += 1
    assert seen >= 15


@pytest.mark.parametrize("log", ["admin", "offline_enrollment"])
def test_a_row_of_a_log_without_ids_is_known_by_its_content_in_whatever_order(log):
    row = next(path for path in (GOLDEN / log).glob("*.json") if path.name.count(".") == 1).read_bytes()
    keys, turned = Keys(None), dict(reversed(json.loads(row).items()))
    assert keys.of_text(row) == keys.of_text(json.dumps(turned).encode() + b"\n")
    assert keys.of_text(row) != keys.of_text(row.replace(b"17", b"18"))


@pytest.mark.parametrize(
    "shown",
    [
        {"_raw": '{"txid":"t-1"}'},
        {"_msg": '<134>1 2026-11-27T00:00:00Z host duologsync - auth - {"txid":"t-1"}', "_time": "…"},
        {"message": "CEF:0|Cisco|Duo|1.0.0|auth|log|3|externalId=t-1 act=x", "@timestamp": "…"},
        {"event": {"id": "t-1", "original": "no id here"}},
        {"event.id": "t-1"},
        {"metadata.uid": "t-1"},
        {"txid": "t-1", "user.name": "ada"},
        {"event.txid": "t-1", "log_type": "auth"},
        {"message": "something that a pipeline wrote", "txid": "t-1"},
    ],
)
def test_what_a_search_shows_has_the_id(shown):
    assert KEYS.of_fields(shown) == "id:t-1"


def test_the_user_s_own_field_comes_before_all_others():
    shown = {"txid": "other", "duo": {"id": "t-1"}}
    assert Keys("txid", "duo.id").of_fields(shown) == "id:t-1"


@pytest.mark.parametrize(
    "name", [" externalId=forged", "|externalId=forged", '","txid":"forged', "eventId=forged\teventId=forged"]
)
def test_a_name_that_somebody_chose_does_not_pass_for_an_id(name):
    from transforms.formats import FORMATS, make_formatter
    from transforms.records import DuoEvent, Stream
    from transforms.settings import Format

    row = json.dumps({"user": {"name": name}, "alias": name, "txid": "t-1", "timestamp": 1_700_000_000}).encode()
    for kind in FORMATS.values():
        message = make_formatter(Format(kind.options())).format(DuoEvent(Stream("main", "auth"), row))
        assert KEYS.of_text(message) == "id:t-1", kind.name


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\xff\xfe", b"{", b'{"txid":1}', b'{"txid":"\\ud800"}', b"[" * 2000, b'{"a":' * 1200, b'{"a":NaN}',
        b"CEF:0|", b"LEEF:2.0|a|b|c|d|xzz|", b"CEF:0|a|b|c|d|e|f|" + b"\\" * 50,
    ],
)  # fmt: skip
def test_whatever_the_bytes_are_there_is_a_key(text):
    assert KEYS.of_text(text) == KEYS.of_text(text)


def test_shown_fields_that_no_json_holds_have_a_key():
    assert KEYS.of_fields({"_msg": "\ud800"}).startswith("content:")
    assert KEYS.of_fields({}).startswith("content:")
