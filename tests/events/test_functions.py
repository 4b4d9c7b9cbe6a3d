"""A user's own function over rows."""

import json

import pytest

from tests.events import own
from tests.events.conftest import AUTH, row
from transforms.errors import FatalError, Undeliverable
from transforms.events.functions import OwnFunction, wrong_function
from transforms.records import Stream

OWN = "tests.events.own"


def made(function, raw, stream=AUTH):
    return [json.loads(each) for each in OwnFunction(f"{OWN}:{function}", stream).rows_of(raw)]


def test_it_gets_the_row_and_its_stream():
    own.calls.clear()
    assert made("unchanged", row(txid="T", n=1)) == [{"txid": "T", "n": 1}]
    assert own.calls == [({"txid": "T", "n": 1}, AUTH)]


def test_it_may_change_the_row_or_leave_it_out():
    assert made("tagged", row(txid="T")) == [{"txid": "T", "tenant": "main/auth"}]
    assert made("nothing", row(txid="T")) == []


def test_rows_with_the_id_of_an_earlier_one_get_their_own():
    assert made("twice", row(txid="T")) == [
        {"txid": "T"},
        {"txid": "T#1", "copy": True},
        {"note": "without an id"},
        {"txid": "T#2", "copy": 2},
    ]


def test_of_a_log_without_ids_rows_stay_as_they_were_made():
    assert [each.get("txid") for each in made("twice", row(txid="T"), Stream("main", "admin"))] == ["T", "T", None, "T"]


@pytest.mark.parametrize("function", ["broken", "leaves", "is_cancelled", "says_a_number", "says_an_object"])
def test_whatever_goes_wrong_is_told_without_the_event(function):
    with pytest.raises(Undeliverable) as failed:
        made(function, row(user="bob"))
    assert failed.value.reason == "function_failed"
    assert "bob" not in str(failed.value)


def test_an_odd_row_reaches_it_too_and_half_characters_stay():
    assert made("tagged", b'{"user":"bob\\ud800","x":NaN}') == [{"user": "bob\ud800", "x": "nan", "tenant": "main/auth"}]
    with pytest.raises(Undeliverable):
        made("unchanged", b"[]")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("tests.events.own", "not the name of a function"),
        ("tests.events.own:", "not the name of a function"),
        ("own.py:f", "the module own cannot be found"),
        ("no_such_module:f", "the module no_such_module cannot be found"),
        (f"{OWN}:no_such_function", "has no function no_such_function"),
        (f"{OWN}:NOT_A_FUNCTION", "has no function NOT_A_FUNCTION"),
    ],
)
def test_a_function_that_is_not_there_is_told(name, what):
    wrong = wrong_function(name)
    assert wrong is not None
    assert what in wrong.what
    with pytest.raises(FatalError, match="cannot be used here"):
        OwnFunction(name, AUTH)


def test_a_module_that_cannot_be_imported_is_told_without_a_traceback(tmp_path, monkeypatch):
    (tmp_path / "module_with_a_bug.py").write_text("1 / 0\n")
    (tmp_path / "module_that_leaves.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "cannot be imported (ZeroDivisionError)" in wrong_function("module_with_a_bug:f").what
    assert "cannot be imported (SystemExit)" in wrong_function("module_that_leaves:f").what
    assert wrong_function("json:dumps") is None
