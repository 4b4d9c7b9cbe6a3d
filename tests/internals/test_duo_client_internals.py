"""What is replaced of duo_client: it is still as it was when that was done, and what it calls is what we replace."""

from __future__ import annotations

import contextlib
from importlib.metadata import version

import duo_client
import pytest

from tests.conftest import now_ms
from transforms.duo.client.duo_client_internals import DUO_CLIENT_VERSION, SignedCalls

PATH = "/admin/v2/logs/authentication"


def params() -> dict[str, str]:
    return {"mintime": str(now_ms() - 1_000), "maxtime": str(now_ms()), "limit": "1"}


@pytest.fixture
def theirs(account, skey):
    return duo_client.Admin(account.ikey, skey, account.api_host, ca_certs=account.ca_file, port=account.port)


def test_the_version_is_the_one_that_it_was_written_for():
    assert version("duo_client") == DUO_CLIENT_VERSION, "read duo_client_internals against the new version"


def test_it_still_makes_a_connection_for_each_call(theirs, monkeypatch):
    made = []
    connect = theirs._connect
    monkeypatch.setattr(theirs, "_connect", lambda: made.append(connect()) or made[-1])
    theirs.api_call("GET", PATH, params())
    theirs.api_call("GET", PATH, params())

    assert len(made) == 2, "duo_client keeps its connection now: exchange may not be needed"


def test_it_still_repeats_what_was_refused_for_its_rate_without_signing_it_anew(theirs, simulator, monkeypatch):
    sent, slept = [], []
    single = theirs._attempt_single_request
    monkeypatch.setattr(theirs, "_attempt_single_request", lambda *call: sent.append(call[1:]) or single(*call))
    monkeypatch.setattr("duo_client.client.sleep", slept.append)
    simulator.faults.add("status", status=429, times=2)
    theirs.api_call("GET", PATH, params())

    assert len(slept) == 2, "duo_client leaves 429 to its caller now: exchange may not be needed"
    assert sent[0] == sent[1] == sent[2]


def test_what_it_calls_with_a_signed_request_is_what_is_replaced(account, simulator):
    """The request is sent by hand, so nothing but its signature makes Duo take it."""
    exchanged = []

    class Recorded(SignedCalls):
        def exchange(self, *request):
            exchanged.append(request)
            with contextlib.closing(self._connect()) as connection:
                return self._attempt_single_request(connection, *request)

    ours = Recorded(account, user_agent="test", timeout_secs=5)
    response, body = ours.call("GET", PATH, params())

    ((method, uri, body_sent, headers),) = exchanged
    assert (method, uri.partition("?")[0], body_sent) == ("GET", PATH, None)
    assert {b"Authorization", b"Date"} <= set(headers)
    assert response.status == 200
    assert body.startswith(b"{")
    assert [call.scheme for call in simulator.calls] != [""]
