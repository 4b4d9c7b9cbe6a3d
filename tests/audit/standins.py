"""Searches of vendors, as their documentation has them; each is first used by the vendor's own client (``test_searches``).

They hold events by time and answer for a stretch of it, and never more than their product shows.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.destinations.http.standins.server import Asked, Reply

KEY = "aWQ6a2V5"
TOKEN = "search-token"
_JSON = {"Content-Type": "application/json"}
_INFO = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest"><title>server-info</title><entry>
<title>server-info</title><id>/services/server/info/server-info</id><content type="text/xml"><s:dict>
<s:key name="version">9.4.1</s:key></s:dict></content></entry></feed>"""


@dataclass
class Stored:
    """An event as the product shows it, with the time and the place (an index, a sourcetype) under which it is kept."""

    time_ms: int
    shown: dict
    place: str


@dataclass
class Searched:
    """What all of them have.

    Attributes:
      events: all that are stored.
      hides: so many of the next answers lack the last event, as an index does that is not refreshed.
    """

    events: list[Stored] = field(default_factory=list)
    hides: int = 0
    received: list[bytes] = field(default_factory=list)  # nobody sends here

    def within(self, from_ms: float, until_ms: float, place: str) -> list[dict]:
        pattern = re.compile(re.escape(place).replace(r"\*", ".*"))
        found = [e.shown for e in self.events if from_ms <= e.time_ms < until_ms and pattern.fullmatch(e.place)]
        if self.hides:
            self.hides -= 1
            return found[:-1]
        return found


@dataclass
class ElasticSearch(Searched):
    """``_search`` of Elasticsearch and OpenSearch: 10,000 documents at most, and a count of all.

    Attributes:
      failed_shards: of the next answers, which are whole or not at all unless partial results are allowed.
    """

    word: str = f"ApiKey {KEY}"
    failed_shards: int = 0

    def answer(self, asked: Asked) -> Reply:
        headers = {**_JSON, "X-Elastic-Product": "Elasticsearch"}
        if asked.headers.get("authorization") != self.word:
            return Reply(401, b'{"error":{"type":"security_exception"},"status":401}', headers)
        if asked.path == "/":
            return Reply(200, json.dumps({"version": {"number": "9.5.1"}, "tagline": "…"}).encode(), headers)
        found = re.fullmatch(r"/([^/]+)/_search", asked.path)
        body = json.loads(asked.body)
        if found is None or body.get("size", 10) > 10_000:
            return Reply(400, b'{"error":{"type":"illegal_argument_exception"},"status":400}', headers)
        if self.failed_shards and asked.query.get("allow_partial_search_results") == "false":
            self.failed_shards -= 1
            return Reply(503, b'{"error":{"type":"search_phase_execution_exception"},"status":503}', headers)
        ((_, within),) = next(f["range"] for f in body["query"]["bool"]["filter"] if "range" in f).items()
        assert within["format"] == "epoch_millis"
        hits = self.within(within["gte"], within["lt"], found[1])
        total = {"value": len(hits), "relation": "eq"} if body.get("track_total_hits") is True else {}
        shown = [{"_index": found[1], "_id": str(n), "_source": hit} for n, hit in enumerate(hits[: body.get("size", 10)])]
        answer = {"took": 1, "timed_out": False, "_shards": {"total": 1, "successful": 1, "failed": 0},
                  "hits": {"total": total, "hits": shown}}  # fmt: skip
        return Reply(200, json.dumps(answer).encode(), headers)


@dataclass
class Splunk(Searched):
    """``search/v2/jobs/export``: an object in each line; a search that breaks off says so in a message, with status 200.

    Attributes:
      breaks_off: so many of the next searches do.
    """

    breaks_off: int = 0

    def answer(self, asked: Asked) -> Reply:
        reply = self._answer(asked)
        reply.headers["Connection"] = "Keep-Alive"  # as Splunk says it, and its client needs to hear it
        return reply

    def _answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'<response><messages><msg type="WARN">call not authenticated</msg></messages></response>')
        if asked.path.endswith("/server/info"):
            return Reply(200, _INFO.encode(), {"Content-Type": "text/xml"})
        if not asked.path.endswith("/search/v2/jobs/export"):
            return Reply(404)
        form = {key: values[-1] for key, values in parse_qs(asked.body.decode()).items()}
        words = re.fullmatch(r"search index=duo sourcetype=(\S+)(?: \| head (\d+))?(?: \| fields .*)?", form["search"])
        if words is None or form["output_mode"] != "json":
            return Reply(400, b'{"messages":[{"type":"FATAL","text":"Unknown search command."}]}', _JSON)
        found = self.within(1000 * float(form["earliest_time"]), 1000 * float(form["latest_time"]), words[1])
        shown = found[: int(words[2])] if words[2] else found
        lines = [{"preview": False, "offset": n, "result": each} for n, each in enumerate(shown)]
        if self.breaks_off:
            self.breaks_off -= 1
            lines = [*lines[:1], {"preview": False, "messages": [{"type": "FATAL", "text": "The search was cancelled."}]}]
        if lines:
            lines[-1]["lastrow"] = True
        return Reply(200, b"".join(json.dumps(line).encode() + b"\n" for line in lines or [{"preview": False}]), _JSON)
