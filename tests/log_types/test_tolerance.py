"""No row that is an object is refused: one odd field never costs the others."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import golden, strategies
from transforms.coders import DuoEvent, EventFacts, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.base import RowKey
from transforms.errors import Undeliverable

_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "text",
    [],
    [None],
    [[1]],
    {},
    {"name": {}},
    {"address": 5},
    10**300,
)

# What is told from the same few words of a row: where one of them changes, any of the others may.
_KIND = {"event_class", "title", "severity", "action", "outcome"}
# What is told from a description, which is JSON or words: JSON fills some of these, words fill the message.
_DESCRIPTION = ("message", "reason", "src_ip", "event_id", "device.", "log_in.", "target.details")


def _facts(log_type: str, raw: bytes) -> EventFacts:
    return LOG_TYPES[log_type].facts(DuoEvent(Stream("acme", log_type), raw))


def _paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every field of a row, however deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*before, key), *_paths(inner, (*before, key))]]


def _with(row: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(row))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copy


def _told(facts: msgspec.Struct, before: str = "") -> dict[str, Any]:
    """Each fact by its path, as deep as groups go."""
    told: dict[str, Any] = {}
    if isinstance(facts, EventFacts):
        told = _told(facts.target, "target.")  # an odd type makes a thing of a person
    for name in facts.__struct_fields__:
        if name in {"target_user", "target_thing"}:
            continue
        value = getattr(facts, name)
        told |= _told(value, f"{before}{name}.") if isinstance(value, msgspec.Struct) else {f"{before}{name}": value}
    return told


def _changed(facts: EventFacts, usual: EventFacts) -> set[str]:
    now, then = _told(facts), _told(usual)
    return {path for path in now.keys() | then.keys() if _there(now.get(path)) != _there(then.get(path))}


def _there(fact: Any) -> Any:
    return None if fact in ("", []) else fact


def _full_row(log_type: str, name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return log_type, {**json.loads((golden.FOLDER / log_type / f"{name}.json").read_bytes()), **more}


_FULL_ROWS = (
    _full_row("auth", "risk_assessed"),
    _full_row(
        "activity",
        "policy_update",
        action={"name": "policy_create", "details": "d"},
    ),
    _full_row("telephony", "sms"),
    _full_row("admin", "login_error", object="jdoe"),
    _full_row("admin", "integration_delete_in_words", isotimestamp="2023-11-14T22:13:21+00:00"),
    _full_row("offline_enrollment", "deprovisioned"),
    _full_row(
        "trustmonitor",
        "surfaced_log_in",
        priority_event=True,
        state_updated_timestamp=9,
        bypass_status_enabled=7,
        enabled_by={"key": "DE1"},
        enabled_for={"name": "jo"},
    ),
)


@pytest.mark.parametrize(("log_type", "row"), _FULL_ROWS, ids=[log_type for log_type, _ in _FULL_ROWS])
def test_a_field_of_an_unexpected_type_costs_no_more_than_the_field_itself(log_type: str, row: dict[str, Any]) -> None:
    usual = _facts(log_type, json.dumps(row).encode())
    for field in _paths(row):
        without = _changed(_facts(log_type, json.dumps({k: v for k, v in row.items() if k != field[0]}).encode()), usual)
        allowed = without | _KIND if without & _KIND else without
        if field[0] in {"timestamp", "isotimestamp"}:
            continue  # one is read where the other is missing, and only then
        for odd in _ODD_VALUES:
            raw = json.dumps(_with(row, field, odd)).encode()
            changed = _changed(_facts(log_type, raw), usual)
            if field[0] == "description":
                changed = {path for path in changed if not path.startswith(_DESCRIPTION)}
            assert changed <= allowed, (field, odd)


@pytest.mark.parametrize("path", golden.rows(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_row_gives_facts_and_a_key_whatever_one_field_holds(path: Any) -> None:
    log_type, row = path.parent.name, json.loads(path.read_bytes())
    for field in _paths(row):
        for odd in _ODD_VALUES:
            raw = json.dumps(_with(row, field, odd)).encode()
            facts = _facts(log_type, raw)
            _assert_types(facts)
            assert facts.time_ms == LOG_TYPES[log_type].row_key(raw).time_ms


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LOG_TYPES)).flatmap(lambda t: st.tuples(st.just(t), strategies.rows(t))))
def test_any_row_gives_facts_of_the_promised_types_and_the_time_of_its_key(case: tuple[str, bytes]) -> None:
    log_type, raw = case
    facts = _facts(log_type, raw)
    _assert_types(facts)
    assert facts.time_ms == LOG_TYPES[log_type].row_key(raw).time_ms


def _assert_types(facts: EventFacts) -> None:
    assert msgspec.convert(msgspec.to_builtins(facts), EventFacts) is not None  # checks the type of every fact
    assert 1 <= facts.severity <= 10
    json.dumps(msgspec.to_builtins(facts), ensure_ascii=False).encode()  # no half of a surrogate pair is left


@pytest.mark.parametrize("log_type", LOG_TYPES)
@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"1", b"{", b'{"a":1}x', b"\xff\xfe", b"[" * 200_000, b"{" + b'"a":{' * 200_000, b"9" * 100_000],
)
def test_what_is_no_object_has_no_key_and_is_undeliverable(log_type: str, raw: bytes) -> None:
    assert LOG_TYPES[log_type].row_key(raw) == RowKey(None, None)
    with pytest.raises(Undeliverable) as refusal:
        _facts(log_type, raw)
    assert refusal.value.reason == "not_an_object"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"txid":"t","x":"\xff","reason":"r"}',
        b'{"txid":"t","reason":"r","email":"\xff"}',
        b'{"txid":"t","reason":"r","email":"\\ud800"}',
        b'{"txid":"t","reason":"r","email":"a\nb"}',
        b'{"txid":"t","reason":"r","timestamp":' + b"9" * 10_000 + b"}",
        b'{"txid":"t","reason":"r","timestamp":1e999}',
        b'{"txid":"t","reason":"r","timestamp":NaN}',
    ],
)
def test_bytes_that_are_barely_json_cost_their_own_field_only(raw: bytes) -> None:
    facts = _facts("auth", raw)
    assert (facts.event_id, facts.reason) == ("t", "r")
    assert LOG_TYPES["auth"].row_key(raw).event_id == "t"


def test_half_of_a_surrogate_pair_becomes_one_replacement_character() -> None:
    assert _facts("auth", b'{"reason":"a\\ud800b"}').reason == "a\ufffdb"
