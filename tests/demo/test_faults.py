"""The simulator fails exactly when and how it is told to, and is well again afterwards."""

import email.utils
import http.client
import json
import socket
import threading
import time

import pytest

from pipelines.demo.simulator import DuoSimulator, RateLimit

from .conftest import IKEY


@pytest.mark.parametrize(("status", "code"), [(400, 40002), (401, 40103), (403, 40301), (404, 40401), (429, 42901)])
def test_a_status_below_500_has_duos_json_body(duo, ask, status, code):
    duo.faults.add("status", status=status)
    found, body = ask.error()
    assert (found, body["code"], body["stat"]) == (status, code, "FAIL")
    assert ask.page()["authlogs"] == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_status_from_500_on_has_html(duo, ask, status):
    duo.faults.add("status", status=status)
    found, body = ask.error()
    assert found == status
    assert body.startswith("<html>")


def raw_answer(duo, path="/admin/v2/logs/authentication"):
    connection = http.client.HTTPConnection("127.0.0.1", duo.port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, answer.read()


def test_retry_after_is_sent_where_asked_for_only(duo):
    duo.faults.add("status", status=429, retry_after=7)
    duo.faults.add("status", status=429)
    assert [raw_answer(duo)[0].headers["Retry-After"] for _ in range(2)] == ["7", None]


def test_a_fault_hits_its_own_log_type_its_own_times_after_letting_some_pass(duo, ask):
    fault = duo.faults.add("status", "activity", status=503, times=2, skip=1)
    ask.page("auth")
    ask.page("activity")
    assert [ask.error("activity")[0] for _ in range(2)] == [503, 503]
    ask.page("activity")
    assert fault.hits == 2


def test_a_fault_without_a_number_of_times_lasts_until_cleared(duo, ask):
    fault = duo.faults.add("status", status=403, times=None)
    assert [ask.error()[0] for _ in range(3)] == [403] * 3
    duo.faults.clear(fault)
    ask.page()


def test_html_with_200_and_broken_json_are_no_json(duo, ask):
    duo.add("auth", 5)
    duo.faults.add("html")
    duo.faults.add("malformed_json")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad response"):
            ask.page()


def test_a_reset_shows_as_a_reset(duo, ask):
    duo.faults.add("reset")
    with pytest.raises(ConnectionResetError):
        ask.page()
    assert duo.calls[-1].status == 0


def test_a_reset_in_the_body_comes_after_the_head(duo, skey):
    duo.faults.add("reset_mid_body")
    duo.faults.add("cut_body")
    with pytest.raises(ConnectionResetError):
        raw_answer(duo)
    with pytest.raises(http.client.IncompleteRead):
        raw_answer(duo)


def test_a_hanging_call_ends_when_the_fault_is_cleared(duo):
    fault = duo.faults.add("hang", times=None)
    began = time.monotonic()
    threading.Timer(0.3, duo.faults.clear, [fault]).start()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        raw_answer(duo)
    assert 0.25 < time.monotonic() - began < 2


def test_a_client_with_a_timeout_gives_up_on_a_hanging_call(duo, ask):
    duo.faults.add("hang")
    ask.client.timeout = 0.2
    with pytest.raises(TimeoutError):
        ask.page()


def test_stopping_does_not_wait_for_hanging_calls(skey):
    duo = DuoSimulator(IKEY, skey).start()
    duo.faults.add("hang")
    with socket.create_connection(("127.0.0.1", duo.port), timeout=5) as sock:
        sock.sendall(b"GET /admin/v2/logs/activity HTTP/1.1\r\nHost: x\r\n\r\n")
        while not duo.calls:
            time.sleep(0.01)
        began = time.monotonic()
        duo.stop()
        assert sock.recv(1) == b""
        assert time.monotonic() - began < 1


def test_a_hanging_call_does_not_hold_up_others(duo, ask):
    fault = duo.faults.add("hang", "activity", times=None)
    with socket.create_connection(("127.0.0.1", duo.port), timeout=5) as sock:
        sock.sendall(b"GET /admin/v2/logs/activity HTTP/1.1\r\nHost: x\r\n\r\n")
        while fault.hits == 0:
            time.sleep(0.01)
        ask.page("auth")


def test_an_outage_refuses_connections_and_nothing_is_forgotten_afterwards(duo, ask):
    ids = duo.add("auth", 3)
    duo.stop()
    with pytest.raises(ConnectionRefusedError):
        ask.page()
    duo.start()
    assert [row["txid"] for row in ask.page()["authlogs"]] == ids


def test_a_slow_answer_is_whole_and_slow(duo, ask):
    duo.add("auth", 10)
    duo.faults.add("slow", secs=0.3)
    began = time.monotonic()
    assert len(ask.page()["authlogs"]) == 10
    assert time.monotonic() - began >= 0.28


def test_clock_skew_refuses_the_date_and_shows_the_servers_own(duo, ask):
    duo.faults.add("clock_skew", secs=900, times=2)
    status, body = ask.error()
    assert (status, body["code"]) == (401, 40105)
    answer, _ = raw_answer(duo)
    ahead = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    assert 890 < ahead < 910
    ask.page()


def test_the_rate_limit_is_per_endpoint_and_comes_back(skey, asker_for):
    with DuoSimulator(IKEY, skey, rate_limit=RateLimit(calls_per_minute=300, burst=2, retry_after=1)) as duo:
        ask = asker_for(duo, skey)
        ask.page("auth")
        ask.page("auth")
        assert ask.error("auth")[1]["code"] == 42901
        ask.page("activity")
        time.sleep(0.25)
        ask.page("auth")
        assert duo.stats()["rate_limited"] == 1


def test_an_unknown_kind_of_fault_is_an_error(duo):
    with pytest.raises(ValueError, match="Unknown fault 'reste'"):
        duo.faults.add("reste")


def test_one_connection_serves_many_calls_and_is_answered_in_one_piece(duo):
    connection = http.client.HTTPConnection("127.0.0.1", duo.port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/_simulator/stats")
        assert json.loads(connection.getresponse().read())["produced"]["auth"] == 0
        assert connection.sock is not None


def test_nonsense_on_a_connection_ends_that_connection_only(duo, ask):
    with socket.create_connection(("127.0.0.1", duo.port), timeout=5) as sock:
        sock.sendall(b"\x16\x03\x01 this is not HTTP at all\r\n\r\n")
        assert sock.recv(100) == b""
    ask.page()
