"""Splunk, asked by its search API: ``search/v2/jobs/export``, which shows a search's events as they are found.

Place in the flow: a dialect of ``search``. Facts, from Splunk's REST API reference: each line of the answer is one object, with
``result`` for an event and ``messages`` for what the search says of itself; earliest is in the stretch, latest is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from transforms.destinations.http.address import address
from transforms.destinations.http.connection import Answer, Request
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.search import AnswerUnusable, Question, SearchReader, Shown, filled
from transforms.destinations.stored.settings import SplunkSearchSettings
from transforms.settings import Destination

_BAD = ("FATAL", "ERROR")
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def make(destination: Destination, settings: SplunkSearchSettings) -> SearchReader:
    """A reader that connects when it is first asked."""
    return SearchReader(destination, settings, _Splunk(destination, settings))


class _Splunk:
    def __init__(self, destination: Destination, settings: SplunkSearchSettings) -> None:
        self._destination = destination
        self._settings = settings

    def request(self, question: Question) -> Request:
        what = filled(self._settings.query, self._destination, question.stream)
        # One more than can be taken: it says that there are more.
        fields = "_raw" if self._settings.id_field is None else f'_raw "{self._settings.id_field}"'
        form = {
            "search": f"search {what} | head {question.limit + 1} | fields {fields}",
            "earliest_time": _secs(question.stretch.from_ms),
            "latest_time": _secs(question.stretch.until_ms),
            "output_mode": "json",
            "preview": "false",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        target = f"{address(self._settings.url).path}/services/search/v2/jobs/export"
        return Request("POST", target, headers, urlencode(form).encode())

    def shown(self, answer: Answer, question: Question, keys: Keys) -> Shown:
        found = [keys.of_fields(fields) for fields in _results(answer.body)]
        return Shown(found, len(found) <= question.limit)


def _results(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if not line.strip():
            continue
        try:
            told = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise AnswerUnusable("its answer is none of Splunk's searches") from None
        for message in told.get("messages") or ():
            if isinstance(message, dict) and message.get("type") in _BAD:
                raise AnswerUnusable("the search did not come to its end")
        result = told.get("result")
        if isinstance(result, dict) and not told.get("preview"):
            yield result


def _secs(time_ms: int) -> str:
    """As Splunk takes a time: seconds since the epoch, which no time zone changes."""
    return f"{time_ms // 1000}.{time_ms % 1000:03d}"
