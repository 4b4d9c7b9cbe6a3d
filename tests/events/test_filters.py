"""Filters in CEL: what is a mistake, what an expression says of a row, and what no row can do to it."""

# ruff: noqa: E501 - a table reads best with one case a line

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.events.conftest import AUTH, golden_row, golden_rows, row
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import FatalError
from transforms.events import filters
from transforms.events.filters import LONGEST_CHARS, Filter, is_documented, mistakes
from transforms.records import Stream

# expression: (place, part of what is wrong, part of the fix), for the log auth
MISTAKES = {
    "event.reslt == 'x'": ("character 7", "auth has no field reslt", "Did you mean event.result?"),
    "event.usr.name == 'x'": ("character 11", "no field usr.name", "event.user.name? A field that is newer"),
    "event.username == 'x'": ("character 7", "no field username", "is written event['username']"),
    "evnt.result == 'x'": ("character 1", "there is no evnt", "Did you mean event?"),
    "log.startswith('a')": ("character 5", "there is no startswith", "Did you mean startsWith?"),
    "foo(event.result)": ("character 1", "there is no foo", ""),
    "event.timestamp == 'x'": ("character 17", "== does not go with a whole number and a text", "one type"),
    "event.timestamp > 'x'": ("character 17", "> does not go with a whole number and a text", "one type"),
    "'ä' == 'ü' && event.timestamp > 'x'": ("character 31", "whole number and a text", "one type"),
    "event.reason == null": ("character 14", "a text and null", "has(…)"),
    "'x' in event.result": ("character 5", "in does not go with a text and a text", "one type"),
    "event.user.groups.exists(g, g == 5)": ("character 31", "a text and a whole number", "one type"),
    "event.user.groups == 'x'": ("character 19", "a list and a text", "one type"),
    "log == 5": ("character 5", "a text and a whole number", "one type"),
    "event.result": ("character 1", "it gives a text, not true or false", "Compare"),
    "size(event.user.groups)": ("character 1", "it gives a whole number", "Compare"),
    "!event.result": ("character 1", "! does not go with a text", "docs/routes.md"),
    "event.result == 'a' ? true : 5": ("character 21", "not of one type (true or false and a whole number)", "same type"),
    "event.result = 'x'": ("character 14", "this is not CEL", "Check quotes"),
    "event.result == 'x": ("character 17", "this is not CEL", "Check quotes"),
    "event.result ==": ("character 16", "this is not CEL", "operators"),
    "event.user.groups.exists(event, true)": ("character 25", "event is given to the items", "another name"),
    "event.user.name.matches('(')": ("character 25", "pattern cannot be used", "RE2"),
    "event.result == 'x' &&\n  event.usr.name == 'y'": ("line 2, character 13", "usr.name", "event.user.name"),
    "true" + " || true" * 600: ("character 1", "characters", f"at most {LONGEST_CHARS}"),
}


@pytest.mark.parametrize("expression", MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_is_told_with_its_place_and_its_fix(expression):
    place, what, fix = MISTAKES[expression]
    found = mistakes(expression, ["auth"])

    assert any(m.place == place and what in m.what and fix in m.fix for m in found), [str(m) for m in found]


def test_all_mistakes_are_told_at_once():
    assert len(mistakes("event.reslt == 'x' || event.timestamp == 'y' || event.fctor == 'z'", ["auth"])) == 3


@pytest.mark.parametrize(
    "expression",
    [
        "event.result == 'denied'",
        "event.result != 'success' && !(event.reason in ['user_mistake', 'no_response'])",
        "has(event.user.name) && event.user.name.startsWith('svc-')",
        "'VPN Users' in event.user.groups",
        "event.user.groups.exists(g, g.endsWith(' admins'))",
        "event['brand_new'].level > 3",
        "event.access_device.is_encryption_enabled == true",
        "timestamp(event.isotimestamp).getHours('Europe/Berlin') < 6",
        "account == 'main' && log == 'auth'",
        "event.user.name.matches('(?i)^test')",
        "event.rbfs_triggered_attacks.exists(a, a.shadow_mode == false)",
        "size(event) > 10",
    ],
)
def test_what_is_right_is_right(expression):
    assert mistakes(expression, ["auth"]) == ()


def test_a_field_must_be_known_to_one_of_the_logs_and_is_checked_in_each():
    assert mistakes("event.phone != '' || event.user.name != ''", ["auth", "telephony"]) == ()
    [wrong] = mistakes("event.phone == 5 || event.user.name != ''", ["auth", "telephony"])
    assert (wrong.column, wrong.what) == (13, "== does not go with a text and a whole number")
    [unknown] = mistakes("event.phone != ''", ["auth", "activity"])
    assert "auth and activity has no field phone" in unknown.what


def test_of_a_log_whose_fields_nobody_documents_only_the_rest_is_checked(monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(LOG_TYPES, "brand_new", replace(LOG_TYPES["auth"], name="brand_new", row_fields={}))
    assert mistakes("event.anything == 1", ["brand_new"]) == ()
    assert mistakes("event.anything == 1 && lg == 'x'", ["brand_new"])


ODD_ROWS = {"unexpected_types", "new_type", "old_field_name", "empty"}
NOT_DUOS = {"eventtype", "host"}  # duo_client's own additions, of which one golden row has kept some


@pytest.mark.parametrize(("log_type", "name", "raw"), [each for each in golden_rows() if each[1] not in ODD_ROWS])
def test_golden_rows_have_the_documented_fields_of_their_types_and_no_others(log_type, name, raw):
    kinds = {"text": str, "number": int, "truth": bool, "texts": list, "objects": list}
    fields, decoded = LOG_TYPES[log_type].row_fields, json.loads(raw)

    assert [path for path in leaves(decoded) if not is_documented(path, fields) and path not in NOT_DUOS] == []
    for path, kind in fields.items():
        value = decoded
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        assert value is None or kind == "any" or isinstance(value, kinds[kind]), path


def leaves(value, path=""):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path


# expression: the rows that it takes, does not take, and cannot be applied to
ANSWERS = {
    "event.result == 'denied'": ([row(result="denied")], [row(result="ok"), row(), row(result=None), row(result=5)], []),
    "event.result != 'success'": ([row(), row(result=None), row(result="x")], [row(result="success")], []),
    "event.user.name.startsWith('svc')": (
        [row(user={"name": "svc-1"})],
        [row(), row(user=None), row(user={}), row(user={"name": None})],
        [row(user="svc-1"), row(user={"name": 5}), row(user=[1])],
    ),
    "'a' in event.user.groups": ([row(user={"groups": ["a"]})], [row(), row(user={"groups": []})], [row(user={"groups": 5})]),
    "event.timestamp > 5": ([row(timestamp=6), row(timestamp=6.5)], [row(timestamp=5), row()], [row(timestamp="6"), row(timestamp=2**70)]),
    "has(event.user.name)": ([row(user={"name": ""})], [row(), row(user={}), row(user={"name": None})], []),
    "has(event.user.name) && event.user.name == 'x'": ([row(user={"name": "x"})], [row(), row(user={"name": "y"})], []),
    "!has(event.user.name) || event.user.name == 'x'": ([row(), row(user=None), row(user={"name": "x"})], [row(user={"name": "y"})], []),
    "has(event.user)": ([row(user={})], [row(), row(user=None)], []),
    "event['new'] == null": ([row(), row(new=None)], [row(new=1)], []),
    "event['new'].level > 3": ([row(new={"level": 4})], [row(new={"level": 3})], [row(), row(new=7)]),
    "event.access_device.is_firewall_enabled == true": (
        [row(access_device={"is_firewall_enabled": True})], [row(), row(access_device={"is_firewall_enabled": "unknown"})], [],
    ),
    "size(event) == 1": ([row(x=1)], [row()], []),
    "log == 'auth' && account == 'main'": ([row()], [], []),
    "event.user.name == '\\ud7ff'": ([row(user={"name": "\ud7ff"})], [row()], []),
}  # fmt: skip


@pytest.mark.parametrize("expression", ANSWERS)
def test_what_an_expression_says_of_a_row(expression):
    asked = Filter(expression, AUTH, ["auth"])
    taken, left, unsure = ANSWERS[expression]

    for _ in range(2):  # the second answer is remembered
        assert [asked.takes(each) for each in taken] == [True] * len(taken)
        assert [asked.takes(each) for each in left] == [False] * len(left)
        assert [asked.takes(each) for each in unsure] == [None] * len(unsure)


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"5", b'"x"', b"{", b'{"result":', b"\xff", b'{"user":' * 3000 + b"1" + b"}" * 3000],
    ids=repr,
)
def test_what_is_no_object_is_not_held_back(raw):
    assert Filter("event.result == 'x'", AUTH, ["auth"]).takes(raw[:30]) in (None, False)
    assert Filter("size(event) == 1", AUTH, ["auth"]).takes(raw) in (None, True)


def test_a_row_that_a_strict_reader_refuses_is_looked_at_all_the_same():
    asked = Filter("event.result == 'denied'", AUTH, ["auth"])
    deep = b"[" * 1200 + b"]" * 1200
    assert asked.takes(b'{"result":"denied","user":{"name":"\\ud800"},"x":NaN,"y":%b}' % deep) is True
    assert asked.takes(b'{"result":"success","user":{"name":"\\ud800"},"x":"\xff"}') is False


def test_an_expression_that_would_take_too_long_ends():
    asked = Filter(
        "event.user.groups.all(a, event.user.groups.all(b, event.user.groups.all(c, a + b + c != '')))", AUTH, ["auth"]
    )
    assert asked.takes(row(user={"groups": ["x"] * 1000})) is None


def test_a_filter_that_is_wrong_is_refused_on_the_worker_too():
    with pytest.raises(FatalError, match=r"cannot be used: character 7: auth has no field reslt"):
        Filter("event.reslt == 'x'", AUTH, ["auth"])


def test_a_worker_without_the_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(filters, "LIBRARY", "no_such_library")
    with pytest.raises(FatalError, match=r"not installed here. Install the extra \[filters\]"):
        Filter("event.result == 'x'", AUTH, ["auth"])


def test_more_rows_than_are_remembered_get_their_answers():
    asked = Filter("event.timestamp > 2500", AUTH, ["auth"])
    assert [asked.takes(row(timestamp=n)) for n in range(5000)] == [n > 2500 for n in range(5000)]


_TEXTS = st.sampled_from(["denied", "bob", "a", "", "name", "groups", "y", "\ud800", "\0", "é"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | _TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_ASKED = [
    Filter(expression, Stream("main", "auth"), ["auth"])
    for expression in (
        "event.result == 'denied' && event.user.name != 'bob'",
        "has(event.user.groups) && event.user.groups.exists(g, g.startsWith('a'))",
        "event.timestamp > 5 || event['x'].y == event.user",
        "event.exists(k, k == 'result')",
    )
]


@given(st.dictionaries(st.sampled_from(["result", "user", "timestamp", "x", "y"]), _JSON))
def test_no_row_makes_a_filter_raise(fields):
    raw = json.dumps(fields).encode()
    for asked in _ASKED:
        assert asked.takes(raw) in (True, False, None)


def test_the_golden_rows_are_filtered_as_they_read():
    denied = Filter("event.result == 'fraud'", AUTH, ["auth"])
    assert denied.takes(golden_row("auth", "fraud")) is True
    assert denied.takes(golden_row("auth", "bypass_over_ipv6")) is False
