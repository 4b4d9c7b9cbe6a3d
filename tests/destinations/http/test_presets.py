"""The presets: what each vendor's receiver gets of our sender, and what its answers mean to it."""

import base64
import json
import time

import pytest

from tests.destinations.http.making import FAST, STREAM, TIME_MS, http_destination, ids, page, row, rows, secret
from tests.destinations.http.standins.server import status
from tests.destinations.http.standins.tokens import CLIENT_ID, CLIENT_SECRET
from tests.destinations.http.standins.vendors import INSTANCE, RULE_ID, Chronicle, Datadog, Elastic, Otlp, Plain, Sentinel
from transforms.destinations.http import generic
from transforms.destinations.http.answers import READERS
from transforms.destinations.http.bodies import BODIES
from transforms.destinations.http.generic_settings import GenericSettings, NamedLog, OAuth
from transforms.destinations.http.presets import PRESETS
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import BadDestination
from transforms.records import FormattedPage, Stream


@pytest.fixture
def made(closing):
    def make(standin, **changes):
        return closing(generic.make(http_destination("http", standin.url, **changes), FAST))

    return make


def deliver(sender, those, stream=STREAM):
    sender.begin(stream)
    sender.send(page(those, stream))
    return sender.confirm()


def now_ms() -> int:
    return int(time.time() * 1000)


class TestSentinel:
    @pytest.fixture
    def standin(self, serve):
        return serve(Sentinel())

    @pytest.fixture
    def make(self, made, standin, monkeypatch):
        oauth = OAuth(
            client_id=CLIENT_ID,
            client_secret=secret(monkeypatch, CLIENT_SECRET),
            token_url=f"{standin.url}/tenant-1/oauth2/v2.0/token",
        )
        return lambda **changes: made(standin, preset="sentinel", rule_id=RULE_ID, oauth=oauth, **changes)

    def test_duo_s_rows_go_into_the_streams_of_microsoft_s_own_solution(self, make, standin):
        sender = make()
        deliver(sender, rows(5))
        deliver(sender, rows(2), Stream("acme", "telephony"))
        assert standin.receiver.by_stream == {
            "Custom-DuoAuthentication_CL": [json.loads(each) for each in rows(5)],
            "Custom-DuoTelephony_CL": [json.loads(each) for each in rows(2)],
        }
        assert standin.receiver.tokens.given == 1

    def test_requests_stay_below_1_mb(self, make, standin):
        deliver(make(), rows(300, pad=10_000))
        assert len(standin.received) == 300
        assert max(len(asked.body) for asked in standin.asked) <= 1_000_000

    def test_a_stream_that_the_rule_has_not_is_a_mistake_and_no_bad_event(self, make):
        with pytest.raises(BadDestination, match=r"InvalidStream.*Compare rule_id and logs"):
            deliver(make(), rows(3), Stream("acme", "trustmonitor"))

    def test_a_stream_of_one_s_own(self, make, standin):
        standin.receiver.streams.add("Custom-Own_CL")
        deliver(make(logs=(NamedLog(log="trustmonitor", name="Custom-Own_CL"),)), rows(1), Stream("acme", "trustmonitor"))
        assert list(standin.receiver.by_stream) == ["Custom-Own_CL"]

    def test_one_bad_event_costs_one_event(self, make, standin):
        those = [*rows(20), row(20, note="poison"), *rows(20, 21)]
        assert [rejection.index for rejection in deliver(make(), those).rejected] == [20]
        assert len(set(ids(standin.received))) == len(standin.received) == 40

    def test_a_message_that_is_no_object_has_no_columns_and_is_rejected(self, make, standin):
        sender = make()
        sender.begin()
        sender.send(FormattedPage(STREAM, [b"", row(1)], [b"CEF:0|", row(1)]))
        assert [(rejection.index, rejection.reason) for rejection in sender.confirm().rejected] == [(0, "not_json")]
        assert ids(standin.received) == ["tx-00000001"]

    def test_trying_it_fetches_a_token_and_sends_nothing(self, make, standin):
        make().test_connection()
        assert standin.receiver.tokens.given == 1
        assert standin.received == []


class TestElastic:
    @pytest.fixture
    def standin(self, serve):
        return serve(Elastic())

    @pytest.fixture
    def make(self, made, standin, monkeypatch):
        return lambda **changes: made(standin, preset="elastic", token=secret(monkeypatch, Elastic.KEY), **changes)

    def test_duo_s_row_is_the_message_in_the_data_stream_of_elastic_s_own_package(self, make, standin):
        deliver(make(namespace="prod"), rows(1))
        deliver(make(), rows(1, 1), Stream("acme", "telephony"))
        (first, second) = standin.receiver.documents

        assert first == ("logs-cisco_duo.auth-prod", {"@timestamp": "2026-11-24T07:15:00.123Z", "message": row(0).decode()})
        assert second[0] == "logs-cisco_duo.telephony_v2-default"

    def test_what_is_there_already_is_delivered(self, make, standin):
        sender = make()
        deliver(sender, rows(10))
        assert deliver(sender, rows(12)).rejected == ()
        assert ids(standin.received) == ids(rows(12))

    def test_two_events_with_one_id_of_duo_s_are_two(self, make, standin):
        deliver(make(), [row(1, result="denied"), row(1, result="granted")])
        assert len(standin.received) == 2

    def test_each_event_has_a_result_of_its_own(self, make, standin):
        outcomes = {1: (429, "es_rejected_execution_exception"), 2: (400, "document_parsing_exception"), 3: (503, "busy")}
        standin.receiver.faults = [outcomes.get]
        (rejection,) = deliver(make(), rows(5)).rejected

        assert rejection.index == 2
        assert "400 (document_parsing_exception)" in rejection.detail
        assert "tx-" not in rejection.detail, "what Elasticsearch quotes of an event is not repeated"
        assert sorted(ids(standin.received)) == [f"tx-{number:08d}" for number in (0, 1, 3, 4)]
        assert standin.repeats() == 0

    def test_many_refused_ones_in_the_first_request_of_all_stop_nothing_where_others_of_it_are_taken(self, make, standin):
        those = [*(row(number, note="poison") for number in range(40)), *rows(2, 40)]
        assert [rejection.index for rejection in deliver(make(), those).rejected] == list(range(40))
        assert ids(standin.received) == ids(rows(2, 40))

    def test_an_event_over_which_it_fails_each_time_costs_itself(self, make, standin):
        fails = lambda at: lambda number: (500, "null_pointer_exception") if number == at else None  # noqa: E731
        standin.receiver.faults = [fails(1)] + [fails(0)] * 40
        (rejection,) = deliver(make(), rows(4)).rejected
        assert (rejection.index, rejection.reason) == (1, "unanswered")
        assert len(standin.received) == 3

    @pytest.mark.parametrize("cause", ["validation_exception", "index_closed_exception", "invalid_index_name_exception"])
    def test_a_refusal_that_is_about_the_index_rejects_no_event(self, make, standin, cause):
        sender = make()
        deliver(sender, rows(1))
        standin.receiver.faults = [lambda _number: (400, cause), lambda number: (400, cause) if number else None]
        assert deliver(sender, rows(4, 1)).rejected == ()
        assert set(ids(standin.received)) == set(ids(rows(5)))

    def test_where_it_may_not_write_nothing_is_rejected(self, make, standin):
        standin.receiver.faults = [lambda _number: (403, "security_exception")] * 5
        with pytest.raises(BadDestination, match=r"may not write there.*security_exception"):
            deliver(make(), rows(4))

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"errors":true,"items":[]}', b'{"errors":true}', b"", b"null"])
    def test_an_answer_that_does_not_speak_of_each_event_is_none(self, make, standin, body):
        standin.troubles = [status(200, body)]
        deliver(make(), rows(4))
        assert ids(standin.received) == ids(rows(4))

    def test_an_event_that_is_the_document_itself(self, make, standin):
        sender = make(body="documents")
        sender.begin()
        documents = [b'{"@timestamp":"2026-11-24T00:00:00Z","message":"hello"}', b"no document"]
        sender.send(FormattedPage(STREAM, [b"", b""], documents))
        assert [(rejection.index, rejection.reason) for rejection in sender.confirm().rejected] == [(1, "not_json")]
        assert standin.received == [b"hello"]


class TestDatadog:
    @pytest.fixture
    def standin(self, serve):
        return serve(Datadog())

    @pytest.fixture
    def make(self, made, standin, monkeypatch):
        return lambda **changes: made(standin, preset="datadog", token=secret(monkeypatch, Datadog.KEY), **changes)

    def test_source_and_service_are_those_that_datadog_s_pipelines_go_by(self, make, standin):
        recent = row(0, time_ms=now_ms())
        deliver(make(tags=("env:prod", "team:soc")), [recent])
        deliver(make(), [recent], Stream("acme", "admin"))
        assert standin.receiver.logs[0] == {
            "ddsource": "cisco-duo", "service": "authentication", "hostname": STREAM.api_host, "ddtags": "env:prod,team:soc",
            "message": recent.decode(),
        }  # fmt: skip
        assert standin.receiver.logs[1]["service"] == "administrator"

    def test_what_datadog_would_drop_without_a_word_is_a_dead_letter(self, make, standin):
        hour = 3_600_000
        those = [row(age, time_ms=now_ms() - age * hour) for age in (0, 17, 19, 40)]
        rejected = deliver(make(), those).rejected
        assert [(rejection.index, rejection.reason) for rejection in rejected] == [(2, "too_old"), (3, "too_old")]
        assert "19.0 h old" in rejected[0].detail
        assert ids(standin.received) == ids(those[:2])

    def test_unless_it_is_to_be_sent_all_the_same(self, make, standin):
        assert deliver(make(too_old="send"), rows(2, time_ms=0)).rejected == ()
        assert len(standin.received) == 2

    def test_what_it_would_cut_without_a_word_is_a_dead_letter(self, make, standin):
        those = [row(0, time_ms=now_ms()), row(1, pad=1_000_001, time_ms=now_ms())]
        (rejection,) = deliver(make(), those).rejected
        assert (rejection.index, rejection.reason) == (1, "oversize")
        assert len(standin.received) == 1

    def test_requests_stay_below_1000_logs_and_5_mb(self, make, standin):
        deliver(make(), rows(1500, pad=5000, time_ms=now_ms()))
        assert len(standin.received) == 1500
        assert max(len(json.loads(asked.body)) for asked in standin.asked) <= 1000
        assert max(len(asked.body) for asked in standin.asked) <= 5_000_000

    def test_only_202_is_delivered(self, make, standin):
        standin.troubles = [status(200, b"<html>captive portal</html>")]
        deliver(make(), rows(1, time_ms=now_ms()))
        assert len(standin.received) == 1


class TestSecOps:
    @pytest.fixture
    def standin(self, serve):
        return serve(Chronicle())

    @pytest.fixture
    def make(self, made, standin, monkeypatch):
        key = json.dumps(standin.receiver.tokens.service_account(f"{standin.url}/token"))
        more = {"preset": "secops", "instance": INSTANCE, "forwarder": "f1"}
        return lambda **changes: made(standin, service_account=secret(monkeypatch, key, "KEY"), **more, **changes)

    def test_rows_go_in_base64_under_google_s_log_types_with_a_signed_assertion(self, make, standin):
        deliver(make(), rows(3))
        assert standin.received == rows(3)
        (log, *_) = standin.receiver.by_type["DUO_AUTH"]
        assert base64.b64decode(log["data"]) == row(0)
        assert log["logEntryTime"] == "2026-11-24T07:15:00.123Z"

    def test_an_event_from_the_future_is_not_collected_before_it_happened(self, make, standin):
        deliver(make(), [row(0, time_ms=now_ms() + 10_000_000)])
        assert len(standin.received) == 1

    def test_a_key_that_is_none_is_told_and_not_shown(self, made, standin, monkeypatch):
        more = {"preset": "secops", "instance": INSTANCE, "forwarder": "f1"}
        sender = made(standin, service_account=secret(monkeypatch, '{"private_key":"s3cret"}', "KEY"), **more)
        with pytest.raises(BadDestination, match="env:KEY is not the key of a service account") as told:
            deliver(sender, rows(1))
        assert "s3cret" not in str(told.value)


class TestOtlp:
    @pytest.fixture
    def standin(self, serve):
        return serve(Otlp())

    def test_each_event_is_a_record_with_its_own_time_of_a_resource_that_says_whose_it_is(self, made, standin):
        deliver(made(standin, preset="otlp"), rows(3))
        (request,) = standin.receiver.requests
        (resource,) = request.resource_logs
        about = {each.key: each.value.string_value for each in resource.resource.attributes}
        records = [record for scope in resource.scope_logs for record in scope.log_records]

        assert standin.received == rows(3)
        assert about == {
            "service.name": "cisco-duo", "duo.log": "auth", "duo.account": "acme", "host.name": STREAM.api_host,
        }  # fmt: skip
        assert [record.time_unix_nano for record in records] == [(TIME_MS + number) * 1_000_000 for number in range(3)]

    def test_a_request_that_is_taken_in_part_is_not_sent_again_and_nothing_of_it_is_lost(self, made, standin):
        those = [*rows(3), row(3, note="poison"), *rows(2, 4)]
        rejected = deliver(made(standin, preset="otlp", batch_events=4), those).rejected
        assert [(rejection.index, rejection.reason) for rejection in rejected] == [(n, "partly_rejected") for n in range(4)]
        assert "took 3 of the 4 events" in rejected[0].detail
        assert len(standin.asked) == 2
        assert ids(standin.received) == ids([*rows(3), *rows(2, 4)])

    def test_that_goes_for_the_first_request_of_all_too(self, made, standin):
        those = [*rows(40), row(40, note="poison")]
        assert len(deliver(made(standin, preset="otlp"), those).rejected) == 41
        assert ids(standin.received) == ids(rows(40))

    def test_who_refuses_all_of_the_first_requests_does_not_refuse_events(self, made, standin):
        with pytest.raises(BadDestination, match="refuses every event"):
            deliver(made(standin, preset="otlp"), [row(number, note="poison") for number in range(40)])

    @pytest.mark.parametrize("code", [429, 502, 503, 504])
    def test_what_the_protocol_says_to_ask_again_is(self, made, standin, code):
        standin.troubles = [status(code, Retry_After="0")]
        deliver(made(standin, preset="otlp"), rows(2))
        assert standin.received == rows(2)

    def test_trying_it_sends_an_empty_request(self, made, standin):
        made(standin, preset="otlp").test_connection()
        assert standin.received == []
        assert standin.asked[0].body == b""


def test_sumo_gets_lines_and_a_category_only_where_one_is_given(made, serve, monkeypatch):
    standin = serve(Plain())
    deliver(made(standin, preset="sumo"), rows(2))
    deliver(made(standin, preset="sumo", logs=(NamedLog(log="auth", name="cisco/duo"),)), rows(1, 2))
    assert standin.received == rows(3)
    assert [asked.headers.get("x-sumo-category") for asked in standin.asked] == [None, "cisco/duo"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_data_that_names_what_there_is(name):
    preset = PRESETS[name]
    assert preset.body in BODIES
    assert preset.reader in READERS
    keys = {key for need in preset.needs for key in need.split("|")} | set(preset.takes)
    assert keys <= set(GenericSettings.__dataclass_fields__)
    if "{name}" in preset.target:
        assert all(GenericSettings(preset=name, url="https://x.example.com").name_of(log) for log in LOG_TYPES)
