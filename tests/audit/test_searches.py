"""Readers of searches, against stand-ins that the vendors' own clients have used first."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.audit.standins import KEY, TOKEN, ElasticSearch, Splunk, Stored
from tests.destinations.http.conftest import serve  # noqa: F401 - a fixture
from tests.destinations.http.making import STREAM, TIME_MS, http_destination, row, secret
from tests.destinations.http.standins.server import cut_in_the_answer, status
from transforms.destinations.stored import search
from transforms.destinations.stored.reader import CannotBeShown, Stretch
from transforms.destinations.stored.registry import SEARCHES, reader_of
from transforms.errors import BadDestination, RetryLater
from transforms.process.retry import RetryPolicy

HOUR = Stretch(TIME_MS - 1_800_000, TIME_MS + 1_800_000)
WAYS = ("splunk", "elastic", "opensearch")
PLACES = {"splunk": "cisco:duo:authentication_v2", "elastic": "logs-duo-auth", "opensearch": "logs-duo-auth"}


class TestTheStandIns:
    def test_elastic_s_client(self, serve):  # noqa: F811
        from elasticsearch import ApiError, Elasticsearch

        standin = serve(ElasticSearch([Stored(1000 + n, {"message": str(n)}, "logs-duo-auth") for n in range(30)]))
        client = Elasticsearch(standin.url, api_key=KEY, max_retries=0)
        within = {"range": {"@timestamp": {"gte": 1000, "lt": 1020, "format": "epoch_millis"}}}
        found = client.search(index="logs-duo-*", query={"bool": {"filter": [within]}}, size=5, track_total_hits=True)
        assert (found["hits"]["total"]["value"], len(found["hits"]["hits"])) == (20, 5)
        with pytest.raises(ApiError):
            client.search(index="logs-duo-*", query={"bool": {"filter": [within]}}, size=10_001)

    def test_opensearch_s_client(self, serve):  # noqa: F811
        from opensearchpy import OpenSearch

        standin = serve(ElasticSearch([Stored(1000, {"message": "one"}, "logs-duo-auth")], word="Basic YXVkaXRvcjpzZWNyZXQ="))
        client = OpenSearch(standin.url, http_auth=("auditor", "secret"), max_retries=0)
        within = {"range": {"@timestamp": {"gte": 1000, "lt": 1001, "format": "epoch_millis"}}}
        found = client.search(index="logs-duo-auth", body={"query": {"bool": {"filter": [within]}}, "track_total_hits": True})
        assert [hit["_source"] for hit in found["hits"]["hits"]] == [{"message": "one"}]

    def test_splunk_s_client(self, serve):  # noqa: F811
        from splunklib import client, results

        standin = serve(Splunk([Stored(1000 * n, {"_raw": str(n)}, "auth") for n in range(1, 9)]))
        service = client.connect(host="127.0.0.1", port=standin.port, scheme="http", splunkToken=TOKEN, autologin=False)
        asked = {"earliest_time": "2.000", "latest_time": "8.000", "output_mode": "json"}
        found = results.JSONResultsReader(service.jobs.export("search index=duo sourcetype=auth | head 4", **asked))
        assert [each["_raw"] for each in found if isinstance(each, dict)] == ["2", "3", "4", "5"]
        standin.receiver.breaks_off = 1
        found = list(results.JSONResultsReader(service.jobs.export("search index=duo sourcetype=auth", **asked)))
        assert found[-1].type == "FATAL"


def standin_of(way):
    return Splunk() if way == "splunk" else ElasticSearch(word=f"Bearer {KEY}" if way == "opensearch" else f"ApiKey {KEY}")


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture
def searched(serve, way, monkeypatch):  # noqa: F811
    """The stand-in, and the reader that asks it, with waits that a test can afford."""
    monkeypatch.setattr(search, "_RETRY", RetryPolicy(0.01, 0.02))
    monkeypatch.setattr(search, "LIMIT", 50)
    standin = serve(standin_of(way))
    made = reader(way, standin.url, monkeypatch)
    yield standin, made
    made.close()


def reader(way, url, monkeypatch, **changes):
    what = {"query": "index=duo sourcetype={name}"} if way == "splunk" else {"index": "logs-duo-{log_type}"}
    token = secret(monkeypatch, TOKEN if way == "splunk" else KEY, "SEARCH_TOKEN")
    audit = SEARCHES[way](url=url, token=token, **what, **changes)
    sent_to = http_destination("hec", "http://127.0.0.1:1", token=token)
    return reader_of(type(sent_to)(sent_to.name, sent_to.settings, sent_to.format, audit=audit))


def store(standin, way, count, *, time_ms=TIME_MS, apart_ms=1):
    text = "_raw" if way == "splunk" else "message"
    for number in range(count):
        at = time_ms + number * apart_ms
        standin.receiver.events.append(Stored(at, {text: row(number, time_ms=at).decode()}, PLACES[way]))


def keys_of(count):
    return Counter(f"id:tx-{number:08d}" for number in range(count))


def test_events_are_shown_by_duo_s_id(searched, way):
    standin, asked = searched
    store(standin, way, 3)
    assert Counter(asked.keys(STREAM, HOUR)) == keys_of(3)


@pytest.mark.parametrize("apart_ms", [0, 1, 977])
def test_more_than_one_answer_shows_are_asked_for_in_slices_and_each_is_shown_once(searched, way, apart_ms):
    standin, asked = searched
    store(standin, way, 400, apart_ms=apart_ms)
    assert Counter(asked.keys(STREAM, HOUR)) == keys_of(400)


def test_what_is_there_twice_is_shown_twice(searched, way):
    standin, asked = searched
    store(standin, way, 2)
    store(standin, way, 1)
    assert Counter(asked.keys(STREAM, HOUR)) == keys_of(2) + keys_of(1)


def test_the_end_of_a_stretch_is_not_in_it_and_its_beginning_is(serve, way, monkeypatch):  # noqa: F811
    standin = serve(standin_of(way))
    store(standin, way, 10)
    asked = reader(way, standin.url, monkeypatch, margin_secs=0)
    assert Counter(asked.keys(STREAM, Stretch(TIME_MS + 2, TIME_MS + 5))) == keys_of(5) - keys_of(2)


def test_a_margin_finds_what_is_filed_under_another_time(serve, way, monkeypatch):  # noqa: F811
    standin = serve(standin_of(way))
    store(standin, way, 5, time_ms=TIME_MS + 86_400_000)
    assert not list(reader(way, standin.url, monkeypatch).keys(STREAM, HOUR))
    assert Counter(reader(way, standin.url, monkeypatch, margin_secs=90_000).keys(STREAM, HOUR)) == keys_of(5)


def test_more_within_a_millisecond_than_a_search_shows_is_said_and_not_taken_for_all(searched, way, monkeypatch):
    monkeypatch.setattr(search, "_LIMIT_OF_A_MS", 60)
    standin, asked = searched
    store(standin, way, 61, apart_ms=0)
    with pytest.raises(CannotBeShown, match="within one millisecond"):
        list(asked.keys(STREAM, HOUR))


PASSING = {
    "503": status(503),
    "429": status(429, Retry_After="0"),
    "a page of a proxy": status(200, b"<html>a proxy</html>"),
    "something else in JSON": status(200, b'{"hits":[]}{'),
    "cut in the answer": cut_in_the_answer,
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
def test_what_passes_is_asked_again(searched, way, trouble):
    standin, asked = searched
    store(standin, way, 4)
    standin.troubles = [trouble, trouble]
    assert Counter(asked.keys(STREAM, HOUR)) == keys_of(4)


def test_a_search_that_breaks_off_with_200_is_no_answer(serve, monkeypatch):  # noqa: F811
    monkeypatch.setattr(search, "_RETRY", RetryPolicy(0.01, 0.02))
    standin = serve(Splunk(breaks_off=2))
    store(standin, "splunk", 4)
    assert Counter(reader("splunk", standin.url, monkeypatch).keys(STREAM, HOUR)) == keys_of(4)


def test_an_answer_of_some_shards_is_no_answer(serve, monkeypatch):  # noqa: F811
    monkeypatch.setattr(search, "_RETRY", RetryPolicy(0.01, 0.02))
    standin = serve(ElasticSearch(failed_shards=2))
    store(standin, "elastic", 4)
    part = {"timed_out": False, "_shards": {"failed": 1}, "hits": {"total": {"value": 0}, "hits": []}}
    standin.troubles = [status(200, json.dumps(part).encode())]
    assert Counter(reader("elastic", standin.url, monkeypatch).keys(STREAM, HOUR)) == keys_of(4)


def test_what_does_not_pass_is_told_without_a_secret_and_without_what_was_said(searched, way):
    standin, asked = searched
    standin.troubles = [status(500, b"secret-of-the-siem")] * 20
    with pytest.raises(RetryLater, match="cannot be asked now: it answered 500") as told:
        list(asked.keys(STREAM, HOUR))
    assert "secret" not in str(told.value)


def test_a_token_that_may_not_search_is_told(searched, way, monkeypatch):
    standin, asked = searched
    standin.troubles = [status(403)]
    with pytest.raises(BadDestination, match="check its token or user"):
        list(asked.keys(STREAM, HOUR))


def test_a_mistake_in_the_address_is_told(searched, way):
    standin, asked = searched
    standin.troubles = [status(404)]
    with pytest.raises(CannotBeShown, match="answered 404: check url"):
        list(asked.keys(STREAM, HOUR))


def test_a_name_cannot_add_words_to_a_query(serve, monkeypatch):  # noqa: F811
    from transforms.records import Stream

    standin = serve(ElasticSearch())
    asked = reader("elastic", standin.url, monkeypatch)
    hostile = Stream("main", "auth", 'x"/../_delete_by_query?q=*', "a b")
    list(asked.keys(hostile, HOUR))
    assert standin.asked[-1].path == "/logs-duo-auth/_search"
