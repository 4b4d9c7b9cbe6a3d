"""Elasticsearch and OpenSearch, asked by ``_search``, which both have in the same words.

Place in the flow: a dialect of ``search``. A search shows at most 10,000 documents and counts all of them; slices of time that
are shown whole need neither a scroll nor a point in time, which would have to be opened and closed there.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from transforms.destinations.http.address import address
from transforms.destinations.http.connection import Answer, Request
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.search import AnswerUnusable, Question, SearchReader, Shown, filled
from transforms.destinations.stored.settings import ElasticSearchSettings
from transforms.settings import Destination

# Half an answer, of the shards that are well, would look like events that are missing.
_PARAMETERS = "?allow_partial_search_results=false&ignore_unavailable=false&allow_no_indices=true"
_SAFE_IN_INDEX = "*,.-_:<>{}"


class _Total(msgspec.Struct):
    value: int
    relation: str = "eq"


class _Hit(msgspec.Struct):
    source: dict[str, Any] = msgspec.field(default_factory=dict, name="_source")


class _Hits(msgspec.Struct):
    total: _Total
    hits: list[_Hit]


class _Shards(msgspec.Struct):
    failed: int = 0


class _Found(msgspec.Struct):
    hits: _Hits
    timed_out: bool = False
    shards: _Shards = msgspec.field(default_factory=_Shards, name="_shards")


_decode = msgspec.json.Decoder(_Found).decode


def make(destination: Destination, settings: ElasticSearchSettings) -> SearchReader:
    """A reader that connects when it is first asked."""
    return SearchReader(destination, settings, _Elastic(destination, settings))


class _Elastic:
    def __init__(self, destination: Destination, settings: ElasticSearchSettings) -> None:
        self._destination = destination
        self._settings = settings

    def request(self, question: Question) -> Request:
        settings, stretch = self._settings, question.stretch
        within = {"gte": stretch.from_ms, "lt": stretch.until_ms, "format": "epoch_millis"}
        filters: list[dict[str, Any]] = [{"range": {settings.time_field: within}}]
        if settings.query is not None:
            filters.append({"query_string": {"query": filled(settings.query, self._destination, question.stream)}})
        body = {
            "size": question.limit,
            "track_total_hits": True,
            "query": {"bool": {"filter": filters}},
            "_source": True,
        }
        index = quote(filled(settings.index, self._destination, question.stream), safe=_SAFE_IN_INDEX)
        target = f"{address(settings.url).path}/{index}/_search{_PARAMETERS}"
        return Request("POST", target, {"Content-Type": "application/json"}, msgspec.json.encode(body))

    def shown(self, answer: Answer, question: Question, keys: Keys) -> Shown:  # noqa: ARG002 - it counts by itself
        try:
            found = _decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise AnswerUnusable("its answer is none of a search") from None
        if found.timed_out or found.shards.failed:
            raise AnswerUnusable("it answered for a part of its shards only")
        total, hits = found.hits.total, found.hits.hits
        return Shown([keys.of_fields(hit.source) for hit in hits], total.relation == "eq" and total.value <= len(hits))
