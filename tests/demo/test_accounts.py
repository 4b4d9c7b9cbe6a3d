"""An MSP's children are listed by the parent and served on their own host; the control plane drives all of it."""

import http.client
import json

import duo_client
import pytest

from pipelines.demo.simulator import DuoSimulator, control
from pipelines.demo.simulator.signatures import Request

from .conftest import IKEY, Asker

CHILD = "DACHILD0000000000001"


@pytest.fixture
def parent(duo, skey):
    return duo_client.Accounts(IKEY, skey, "127.0.0.1", port=duo.port, ca_certs="HTTP", timeout=5)


def test_children_are_listed_to_the_real_accounts_client(duo, parent):
    duo.add_child(CHILD, "Kunde Süd", "localhost")
    assert parent.get_child_accounts() == [{"account_id": CHILD, "api_hostname": "localhost", "name": "Kunde Süd"}]
    assert duo.calls[-1].scheme == "v5/sha512"


def test_keys_that_have_no_children_may_not_list_them(duo, parent):
    with pytest.raises(RuntimeError) as caught:
        parent.get_child_accounts()
    assert (caught.value.status, caught.value.data["code"]) == (403, 40301)


def test_a_child_is_served_on_its_own_host_only_and_has_its_own_events(duo, skey):
    duo.add_child(CHILD, "Kunde Süd", "localhost")
    own, childs = duo.add("auth", 2), duo.add("auth", 3, account_id=CHILD)
    assert not set(own) & set(childs)
    right, wrong = Asker(duo, skey, "localhost"), Asker(duo, skey, "127.0.0.1")
    assert [row["txid"] for row in right.page(account_id=CHILD)["authlogs"]] == childs
    assert wrong.error(account_id=CHILD)[1]["code"] == 40301
    assert len(wrong.page()["authlogs"]) == 2


def test_a_child_that_left_is_forbidden_and_has_its_events_when_it_comes_back(duo, skey):
    duo.add_child(CHILD, "Kunde Süd", "localhost")
    ids = duo.add("auth", 3, account_id=CHILD)
    duo.accounts.remove_child(CHILD)
    ask = Asker(duo, skey, "localhost")
    assert ask.error(account_id=CHILD)[0] == 403
    duo.add_child(CHILD, "Kunde Süd", "localhost")
    assert [row["txid"] for row in ask.page(account_id=CHILD)["authlogs"]] == ids


def test_a_fault_can_be_for_one_child(duo, skey):
    duo.add_child(CHILD, "Kunde Süd", "localhost")
    duo.faults.add("status", "auth", account_id=CHILD, status=503, times=None)
    ask = Asker(duo, skey, "localhost")
    assert ask.error(account_id=CHILD)[0] == 503
    ask.page()


def test_the_log_of_calls_says_what_was_asked(duo, ask):
    ask.page("telephony", limit=7)
    call = duo.calls[-1]
    assert (call.log_type, call.status, call.host, dict(call.params)["limit"]) == ("telephony", 200, "127.0.0.1", "7")
    assert duo.stats()["calls"] == {"/admin/v2/logs/telephony": 1}


def test_unknown_paths_are_404_in_duos_json_after_the_signature(duo, ask):
    with pytest.raises(RuntimeError) as caught:
        ask.client.json_api_call("GET", "/admin/v1/logs/authentication", {})
    assert caught.value.data["code"] == 40401


def drive(duo, method, task, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", duo.port, timeout=5)
    connection.request(method, f"/_simulator/{task}", None if body is None else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_the_control_plane_produces_fails_and_tells(duo, ask, now_ms):
    _, made = drive(duo, "POST", "produce", {"log_type": "auth", "count": 3, "at_ms": now_ms - 1000})
    assert drive(duo, "GET", "ids?log_type=auth") == (200, {"ids": made["ids"]})
    assert [row["txid"] for row in ask.page()["authlogs"]] == made["ids"]
    drive(duo, "POST", "backlog", {"log_type": "activity", "count": 5, "start_ms": now_ms - 9, "end_ms": now_ms})
    drive(duo, "POST", "faults", {"kind": "status", "target": "auth", "status": 429, "times": None})
    assert ask.error()[0] == 429
    drive(duo, "DELETE", "faults")
    ask.page()
    _, stats = drive(duo, "GET", "stats")
    assert stats["produced"] == {"auth": 3, "activity": 5, "telephony": 0, "trustmonitor": 0}
    assert (stats["rate_limited"], stats["statuses"]) == (1, {"200": 2, "429": 1})


@pytest.mark.parametrize(
    ("method", "task", "body", "status"),
    [
        ("POST", "produce", {"log_type": "nothing"}, 400),
        ("POST", "produce", {"log_type": "auth", "cuont": 3}, 400),
        ("POST", "faults", {"kind": "nothing"}, 400),
        ("POST", "faults", ["hang"], 400),
        ("GET", "nothing", None, 404),
    ],
)
def test_the_control_plane_says_what_it_does_not_understand(duo, method, task, body, status):
    found, answer = drive(duo, method, task, body)
    assert found == status
    assert answer["error"]


def test_the_control_plane_is_closed_when_others_can_reach_the_simulator(skey):
    duo = DuoSimulator(IKEY, skey, host="0.0.0.0")
    try:
        answer, _, _ = duo.respond(Request("GET", f"{control.PREFIX}stats", "", {}))
        assert answer.status == 403
    finally:
        duo.stop()
