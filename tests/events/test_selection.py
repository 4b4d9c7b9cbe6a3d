"""Several routes to one destination: which takes an event, and what becomes of it."""

import json

from tests.events.conftest import AUTH, KEY, row
from transforms.events.redact_settings import Redaction
from transforms.events.selection import Failed, Selection, Taken
from transforms.records import Stream
from transforms.settings import Route

OWN = "tests.events.own"


def route(where=None, accounts=(), function=None, **ways):
    redact = (
        Redaction(**{way: tuple(paths) for way, paths in ways.items()}, key=KEY if "hash" in ways else None) if ways else None
    )
    return Route(("auth",), ("siem",), accounts, where=where, redact=redact, function=function and f"{OWN}:{function}")


def sent(routes, raw, stream=AUTH):
    made = Selection(routes, stream).rows_of(raw)
    assert not isinstance(made, Failed), made
    return [json.loads(each) for each in made]


def test_an_event_that_two_routes_would_take_is_sent_once_as_the_first_says():
    routes = [route("event.result == 'denied'", mask=["user"]), route(drop=["user"])]
    assert sent(routes, row(result="denied", user="bob")) == [{"result": "denied", "user": "***"}]
    assert sent(routes, row(result="success", user="bob")) == [{"result": "success"}]


def test_what_no_route_takes_is_counted_and_not_sent():
    selection = Selection([route("event.result == 'denied'"), route("event.result == 'fraud'")], AUTH)
    assert selection.rows_of(row(result="success")) == []
    assert selection.rows_of(row(result="fraud")) == [row(result="fraud")]
    assert selection.counts == {"filtered": 1}


def test_routes_of_other_accounts_are_not_asked():
    routes = [route("false"), route(accounts=("other",), drop=["user"]), route(accounts=("parent",), mask=["user"])]
    assert sent(routes, row(user="bob"), Stream("other", "auth")) == [{}]
    assert sent(routes, row(user="bob"), Stream("parent/DA1", "auth")) == [{"user": "***"}]
    assert sent(routes, row(user="bob")) == []


def test_an_event_that_a_filter_cannot_be_applied_to_is_sent_with_all_that_any_route_redacts():
    selection = Selection(
        [route("event.result == 'svc'"), route("event.timestamp > 5", mask=["user"]), route(drop=["email"])], AUTH
    )
    assert selection.rows_of(row(user="x", timestamp="odd", email="a@example.com")) == [b'{"user":"***","timestamp":"odd"}']
    assert selection.counts == {"filter_failed": 1}
    assert selection.rows_of(row(result="svc", timestamp="odd", user="x")) == [row(result="svc", timestamp="odd", user="x")]


def test_the_own_function_never_sees_what_is_redacted():
    [made] = sent([route(function="tagged", hash=["user"])], row(user="bob"))
    assert made["user"].startswith("hmac:")
    assert made["tenant"] == "main/auth"


def test_a_function_that_fails_leaves_the_redacted_row():
    failed = Selection([route(function="broken", mask=["user"])], AUTH).rows_of(row(user="bob"))
    assert failed.row == b'{"user":"***"}'
    assert failed.error.reason == "function_failed"


def test_a_row_that_cannot_be_redacted_leaves_nothing():
    failed = Selection([route(mask=["user"])], AUTH).rows_of(b'"bob"')
    assert failed.row == b""
    assert (failed.error.reason, "bob" in str(failed.error)) == ("not_redactable", False)


def test_without_redaction_and_function_the_bytes_are_the_same():
    raw = b'{"result" : "denied", "x":1.50}'
    assert Selection([route("event.result == 'denied'")], AUTH).rows_of(raw) == [raw]


def test_a_dead_letter_that_is_sent_again_is_redacted_and_not_filtered():
    selection = Selection(
        [route("event.result == 'denied'", function="tagged", mask=["user"]), route("false", drop=["email"])], AUTH
    )
    letter = row(result="success", user="bob", email="a@example.com")
    assert selection.again(letter, was_changed=False) == [b'{"result":"success","user":"***"}']
    again = selection.again(row(result="denied", user="bob"), was_changed=False)
    assert again == [b'{"result":"denied","user":"***","tenant":"main/auth"}']
    assert selection.again(again[0], was_changed=True) == again


def test_why_a_route_does_not_take_an_event():
    selection = Selection([route("event.result == 'x'"), route("event.timestamp > 5"), route()], AUTH)
    assert selection.verdicts(row(result="y", timestamp="odd")) == [Taken.NO, Taken.UNSURE, Taken.YES]
