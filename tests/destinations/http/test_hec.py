"""The kind ``hec``: what its requests hold, and what follows from each answer of a collector."""

import json

import pytest

from tests.destinations.http.making import FAST, STREAM, TIME_MS, http_destination, ids, page, row, rows, secret
from tests.destinations.http.standins.hec import TOKEN, Hec, said
from tests.destinations.http.standins.server import status
from transforms.destinations.http import hec
from transforms.destinations.http.verdict import Fate
from transforms.errors import BadDestination, FatalError, RetryLater
from transforms.records import FormattedPage, Stream
from transforms.secrets import SecretRef


@pytest.fixture
def collector(serve):
    return serve(Hec())


@pytest.fixture
def make(collector, closing, monkeypatch):
    def made(**changes):
        if "token" not in changes:
            changes["token"] = secret(monkeypatch, TOKEN)
        return closing(hec.make(http_destination("hec", collector.url, **changes), FAST))

    return made


def deliver(sender, those, stream=STREAM):
    sender.begin(stream)
    sender.send(page(those, stream))
    return sender.confirm()


class TestEvents:
    def test_each_event_has_its_own_time_in_seconds_and_the_names_of_splunk_s_own_app(self, make, collector):
        deliver(make(), [row(0)])
        (event,) = collector.receiver.events

        assert json.loads(row(0)) == event.pop("event")
        assert event == {
            "time": TIME_MS / 1000,
            "host": STREAM.api_host,
            "source": "cisco_duo",
            "sourcetype": "cisco:duo:authentication_v2",
        }
        assert b'"time":1795504500.123,' in collector.asked[0].body

    def test_index_source_sourcetype_and_host_can_be_chosen_for_all_logs_and_for_one(self, make, collector):
        from transforms.destinations.http.hec_settings import HecLog

        sender = make(index="duo", event_host="here", logs=(HecLog(log="auth", index="logins", sourcetype="mine"),))
        deliver(sender, [row(0)])
        deliver(sender, [row(1)], Stream("acme", "telephony", "api.example.com"))
        names = [{key: event[key] for key in ("index", "host", "sourcetype")} for event in collector.receiver.events]

        assert names == [
            {"index": "logins", "host": "here", "sourcetype": "mine"},
            {"index": "duo", "host": "here", "sourcetype": "cisco:duo:telephony_v2"},
        ]

    @pytest.mark.parametrize(
        ("message", "event"),
        [
            (b"CEF:0|Cisco|Duo|1|a|b|3|msg=\xc3\xa9", "CEF:0|Cisco|Duo|1|a|b|3|msg=é"),
            (b'{"a":1}', {"a": 1}),
            (b'{"a":NaN}', '{"a":NaN}'),
            (b"{no json", "{no json"),
            (b'{"lone":"\\ud800"}', '{"lone":"\\ud800"}'),
        ],
    )
    def test_an_object_is_sent_as_one_and_anything_else_as_a_text(self, make, collector, message, event):
        sender = make()
        sender.begin()
        sender.send(FormattedPage(STREAM, [b""], [message]))
        assert sender.confirm().rejected == ()
        (arrived,) = collector.receiver.events
        assert arrived["event"] == event
        assert "time" not in arrived, "a dead letter whose event is gone has no time, and none is invented"

    def test_a_message_that_is_no_utf_8_is_rejected_and_the_others_arrive(self, make, collector):
        sender = make()
        sender.begin()
        sender.send(FormattedPage(STREAM, [b"", b""], [b"\xff", b"well"]))
        (rejection,) = sender.confirm().rejected
        assert (rejection.index, rejection.reason) == (0, "not_utf8")
        assert collector.received == [b"well"]

    def test_raw_sends_lines_with_a_channel_and_the_names_beside_them(self, make, collector):
        those = rows(3)
        deliver(make(endpoint="raw", index="duo"), those)
        (asked,) = collector.asked

        assert collector.received == those
        assert asked.path == "/services/collector/raw"
        assert asked.query == {
            "host": STREAM.api_host, "source": "cisco_duo", "sourcetype": "cisco:duo:authentication_v2", "index": "duo",
        }  # fmt: skip
        assert asked.headers["x-splunk-request-channel"]


class TestRequests:
    def test_they_are_filled_by_number_and_compressed_on_one_connection(self, make, collector):
        deliver(make(batch_events=10), rows(35))

        assert [asked.body.count(b"\n") for asked in collector.asked] == [10, 10, 10, 5]
        assert {asked.headers["content-encoding"] for asked in collector.asked} == {"gzip"}
        assert collector.connections == 1

    def test_they_are_filled_by_bytes(self, make, collector):
        deliver(make(batch_bytes=1024, gzip=False), rows(20))

        assert len(collector.asked) > 4
        assert max(len(asked.body) for asked in collector.asked) <= 1024
        assert ids(collector.received) == ids(rows(20))

    def test_the_token_is_in_a_header_and_a_changed_one_is_found(self, make, collector, monkeypatch):
        sender = make()
        deliver(sender, rows(1))
        monkeypatch.setenv("SIEM_TOKEN", "another")
        collector.troubles = [status(403, said(403, 4).body)]
        monkeypatch.setattr("tests.destinations.http.standins.hec.TOKEN", "another")
        deliver(sender, rows(1, 1))

        assert [asked.headers["authorization"] for asked in collector.asked][::2] == [f"Splunk {TOKEN}", "Splunk another"]
        assert ids(collector.received) == ids(rows(2))

    @pytest.mark.parametrize("value", ["with\nbreak", "with\x7f", "wìth"])
    def test_a_token_that_no_header_can_hold_is_told_by_its_place_and_not_shown(self, make, monkeypatch, value):
        sender = make(token=secret(monkeypatch, value))
        with pytest.raises(FatalError, match=r"env:SIEM_TOKEN holds a character") as told:
            deliver(sender, rows(1))
        assert "with" not in str(told.value)


class TestAnswers:
    @pytest.mark.parametrize("names", [True, False])
    def test_one_bad_event_costs_one_event_also_where_the_collector_does_not_say_which(self, make, collector, names):
        collector.receiver.names_culprit = names
        those = rows(40)
        those[17] = row(17, note="poison")
        (rejection,) = deliver(make(), those).rejected

        assert (rejection.index, rejection.reason) == (17, "rejected")
        assert "code 6" in rejection.detail
        assert "poison" not in rejection.detail
        assert set(ids(collector.received)) == set(ids(those)) - {"tx-00000017"}

    def test_each_of_many_bad_events_costs_itself(self, make, collector):
        those = rows(100)
        bad = (0, 1, 50, 98, 99)
        for number in bad:
            those[number] = row(number, note="poison")
        rejected = deliver(make(), those).rejected

        assert tuple(rejection.index for rejection in rejected) == bad
        assert len(set(ids(collector.received))) == 95

    def test_a_number_that_is_wrong_costs_no_good_event(self, make, collector):
        collector.troubles = [status(400, said(400, 6, **{"invalid-event-number": 3}).body)]
        assert deliver(make(), rows(8)).rejected == ()
        assert set(ids(collector.received)) == set(ids(rows(8)))

    @pytest.mark.parametrize("number", [-1, 8, 10**30, "3", None])
    def test_a_number_that_is_none_of_the_request_s_costs_no_good_event(self, make, collector, number):
        collector.troubles = [status(400, json.dumps({"code": 6, "invalid-event-number": number}).encode())]
        assert deliver(make(), rows(8)).rejected == ()
        assert set(ids(collector.received)) == set(ids(rows(8)))

    def test_too_large_a_request_is_halved_and_the_next_are_smaller(self, make, collector):
        collector.receiver.most_bytes = 2000
        sender = make(batch_events=40)
        assert deliver(sender, rows(40)).rejected == ()
        asked_before = len(collector.asked)
        deliver(sender, rows(40, 40))

        assert ids(collector.received) == ids(rows(80))
        assert all(len(asked.body) <= 2000 for asked in collector.asked[asked_before:])

    def test_an_event_too_large_by_itself_is_rejected(self, make, collector):
        collector.receiver.most_bytes = 1000
        those = [row(0), row(1, pad=3000), row(2)]
        (rejection,) = deliver(make(), those).rejected
        assert (rejection.index, rejection.reason) == (1, "oversize")
        assert set(ids(collector.received)) == {"tx-00000000", "tx-00000002"}

    @pytest.mark.parametrize(
        ("code", "http"), [(8, 500), (9, 503), (18, 503), (19, 503), (20, 503), (23, 503), (26, 429), (27, 429), (99, 503)]
    )
    def test_what_is_not_taken_now_is_sent_again(self, make, collector, code, http):
        collector.troubles = [status(http, said(http, code).body)] * 3
        deliver(make(), rows(5))
        assert ids(collector.received) == ids(rows(5))
        assert len(collector.asked) >= 4

    def test_a_pause_that_the_collector_asks_for_is_kept(self, make, collector):
        collector.troubles = [status(429, said(429, 26).body, Retry_After="1")]
        deliver(make(), rows(1))
        assert collector.asked[1].at - collector.asked[0].at >= 1.0

    @pytest.mark.parametrize("code", [24, 25])
    def test_nearly_full_is_success_and_the_next_request_waits(self, make, collector, code):
        collector.receiver.code = code
        assert deliver(make(batch_events=2), rows(6)).rejected == ()
        assert ids(collector.received) == ids(rows(6))
        assert len(collector.asked) == 3

    @pytest.mark.parametrize(
        ("http", "code", "fix"),
        [
            (403, 1, "Check the token"),
            (401, 2, "Check the token"),
            (401, 3, "Check the token"),
            (403, 4, "Check the token"),
            (400, 21, "Check the token"),
            (400, 22, "Check the token"),
            (400, 7, "Set index"),
            (400, 10, "Set acknowledge"),
            (400, 14, "Set acknowledge"),
        ],
    )
    def test_what_only_a_person_can_mend_ends_a_first_bundle_and_rejects_nothing(self, make, collector, http, code, fix):
        collector.troubles = [status(http, said(http, code).body)] * 50
        with pytest.raises(BadDestination, match=fix) as told:
            deliver(make(), rows(3))
        assert f"code {code}" in str(told.value)
        assert TOKEN not in str(told.value)

    def test_and_is_waited_for_where_it_once_worked(self, make, collector):
        sender = make()
        deliver(sender, rows(1))
        collector.troubles = [status(403, said(403, 4).body)] * 3
        assert deliver(sender, rows(1, 1)).rejected == ()
        assert ids(collector.received) == ids(rows(2))

    def test_a_token_that_is_changed_more_than_once_is_found(self, make, collector, monkeypatch):
        sender = make()
        deliver(sender, rows(1))
        tokens = iter(["first try", "second try"])

        def refuse(exchange):
            exchange.reply(said(403, 4))
            monkeypatch.setenv("SIEM_TOKEN", next(tokens, TOKEN))

        collector.troubles = [refuse] * 6
        deliver(sender, rows(1, 1))
        assert ids(collector.received) == ids(rows(2))
        assert collector.asked[-1].headers["authorization"] == f"Splunk {TOKEN}"

    def test_a_wrong_address_ends_a_first_bundle(self, make, collector, closing, monkeypatch):
        there = http_destination("hec", f"{collector.url}/elsewhere", token=secret(monkeypatch, TOKEN))
        with pytest.raises(BadDestination, match="no collector at this address"):
            deliver(closing(hec.make(there, FAST)), rows(1))

    def test_a_page_that_answers_200_in_its_place_is_no_delivery(self, make, collector):
        collector.troubles = [status(200, b"<html>Please log in</html>", Content_Type="text/html"), status(204), status(200)]
        deliver(make(), rows(2))
        assert ids(collector.received) == ids(rows(2))

    def test_a_redirect_is_not_followed(self, make, collector):
        collector.troubles = [status(302, Location="http://127.0.0.1:1/")] * 9
        with pytest.raises(BadDestination, match="it answered 302"):
            deliver(make(), rows(1))

    def test_who_never_took_anything_and_refuses_all_does_not_refuse_events(self, make, collector):
        collector.receiver.poison = b"txid"
        with pytest.raises(BadDestination, match="has taken nothing so far and refuses every event"):
            deliver(make(), rows(200))

    def test_once_it_has_taken_something_many_refused_events_are_dead_letters(self, make, collector):
        sender = make()
        deliver(sender, rows(1))
        collector.receiver.poison = b"txid"
        assert len(deliver(sender, rows(200)).rejected) == 200


class TestAcknowledgements:
    @pytest.fixture
    def acknowledging(self, make, collector):
        collector.receiver.acknowledges = True
        return make(acknowledge=True, batch_events=4)

    def test_a_bundle_is_confirmed_when_all_its_requests_are_indexed(self, acknowledging, collector):
        collector.receiver.indexes_late = 3
        deliver(acknowledging, rows(10))
        questions = [json.loads(asked.body)["acks"] for asked in collector.asked if asked.path.endswith("/ack")]

        assert ids(collector.received) == ids(rows(10))
        assert questions == [[0, 1, 2]] * 4, "all are asked for until each was true, and none after that"

    def test_all_requests_of_a_sender_name_one_channel(self, acknowledging, collector):
        deliver(acknowledging, rows(10))
        channels = {asked.headers["x-splunk-request-channel"] for asked in collector.asked}
        assert len(channels) == 1

    def test_what_is_never_acknowledged_is_sent_again(self, acknowledging, collector):
        collector.receiver.indexes_late = 10**6
        acknowledging.begin()
        acknowledging.send(page(rows(4)))
        collector.receiver.indexes_late = 0
        assert acknowledging.confirm().rejected == ()

        assert ids(collector.received) == ids(rows(4)) * 2
        assert acknowledging.resent == 4

    def test_where_the_collector_forgot_the_channel_all_that_was_on_it_is_sent_again(self, acknowledging, collector):
        acknowledging.begin()
        acknowledging.send(page(rows(8)))
        collector.receiver.acks.clear()
        acknowledging.confirm()
        assert sorted(ids(collector.received)) == sorted(ids(rows(8)) * 2)

    def test_an_id_that_comes_again_is_of_another_request_and_the_one_before_it_is_sent_again(self, acknowledging, collector):
        acknowledging.begin()
        acknowledging.send(page(rows(4)))
        # It begins anew, counts from 0 again, and has lost what it had not indexed.
        collector.receiver.__init__()
        collector.receiver.acknowledges = True
        acknowledging.send(page(rows(4, 4)))
        acknowledging.confirm()

        assert sorted(ids(collector.received)) == ids(rows(8))

    def test_what_only_a_person_can_mend_is_waited_for_where_requests_are_not_acknowledged_yet(
        self, acknowledging, collector, monkeypatch
    ):
        acknowledging.begin()
        acknowledging.send(page(rows(4)))
        asked = acknowledging._connection.call
        troubles = [BadDestination("The certificate has expired."), RetryLater("Not now.", kind="network")]

        def call(request, watch):
            if troubles:
                raise troubles.pop()
            return asked(request, watch)

        monkeypatch.setattr(acknowledging._connection, "call", call)
        assert acknowledging.confirm().rejected == ()
        assert ids(collector.received) == ids(rows(4))

    def test_an_answer_to_a_question_that_nobody_can_read_is_none(self, acknowledging, collector):
        acknowledging.begin()
        acknowledging.send(page(rows(4)))
        collector.troubles = [status(200, b'{"acks":{},"more":' + b"[" * 500_000 + b"]" * 500_000 + b"}")]
        acknowledging.confirm()
        assert ids(collector.received) == ids(rows(4)) * 2

    @pytest.mark.parametrize("trouble", [status(503, said(503, 19).body), status(429, said(429, 27).body)])
    def test_a_question_that_is_not_answered_now_is_asked_again(self, acknowledging, collector, trouble):
        acknowledging.begin()
        acknowledging.send(page(rows(4)))
        collector.troubles = [trouble] * 2
        acknowledging.confirm()
        assert ids(collector.received) == ids(rows(4))

    def test_a_token_without_acknowledgement_ends_a_first_bundle(self, make):
        with pytest.raises(BadDestination, match="acknowledge"):
            deliver(make(acknowledge=True), rows(1))

    def test_and_so_does_one_that_has_it_where_it_was_not_asked_for(self, make, collector):
        collector.receiver.acknowledges = True
        with pytest.raises(BadDestination, match="Set acknowledge as it is switched on for the token"):
            deliver(make(), rows(1))


class TestTrying:
    def test_a_connection_is_tried_with_the_token_and_nothing_is_sent(self, make, collector):
        make().test_connection()
        assert collector.received == []
        assert collector.asked[0].headers["authorization"] == f"Splunk {TOKEN}"

    def test_a_wrong_token_is_told(self, make, monkeypatch):
        with pytest.raises(BadDestination, match="the token is not valid"):
            make(token=secret(monkeypatch, "wrong")).test_connection()

    def test_one_that_is_not_well_is_tried_later(self, make, collector):
        collector.troubles = [status(503, said(503, 18).body)]
        with pytest.raises(RetryLater, match="its queues are full"):
            make().test_connection()

    def test_one_that_is_away_is_tried_later(self, make, collector):
        collector.stop()
        with pytest.raises(RetryLater, match="cannot be reached"):
            make().test_connection()

    def test_a_secret_that_is_not_there_is_told(self, make):
        with pytest.raises(FatalError, match="NOT_SET"):
            make(token=SecretRef("env", "NOT_SET")).test_connection()


def test_the_table_of_codes_has_all_that_are_known():
    assert set(hec.CODES) == set(range(28))
    assert {code for code, (fate, _, _) in hec.CODES.items() if fate is Fate.DELIVERED} == {0, 17, 24, 25}
