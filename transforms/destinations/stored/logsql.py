"""VictoriaLogs, asked by LogsQL.

Place in the flow: a dialect of ``search``. Each line of an answer is one event, as an object of texts; names that held a dot or
were nested are written with dots.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import urlencode

import msgspec

from transforms.destinations.http.address import address
from transforms.destinations.http.connection import Answer, Request
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.search import AnswerUnusable, Question, SearchReader, Shown, filled
from transforms.destinations.stored.settings import LogsQlSettings
from transforms.settings import Destination

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def make(destination: Destination, settings: LogsQlSettings) -> SearchReader:
    """A reader that connects when it is first asked."""
    return SearchReader(destination, settings, _LogsQl(destination, settings))


class _LogsQl:
    def __init__(self, destination: Destination, settings: LogsQlSettings) -> None:
        self._destination = destination
        self._settings = settings

    def request(self, question: Question) -> Request:
        what = filled(self._settings.query, self._destination, question.stream)
        within = f"_time:[{_moment(question.stretch.from_ms)}, {_moment(question.stretch.until_ms)})"
        # One more than can be taken: it says that there are more.
        form = {"query": f"{within} ({what})", "limit": str(question.limit + 1), "allow_partial_response": "0"}
        target = f"{address(self._settings.url).path}/select/logsql/query"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request("POST", target, headers, urlencode(form).encode())

    def shown(self, answer: Answer, question: Question, keys: Keys) -> Shown:
        try:
            found = [keys.of_fields(_decode(line)) for line in answer.body.splitlines() if line.strip()]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise AnswerUnusable("its answer is none of LogsQL") from None
        return Shown(found, len(found) <= question.limit)


def _moment(time_ms: int) -> str:
    """ISO 8601 in UTC, which no time zone changes."""
    at = dt.datetime.fromtimestamp(time_ms // 1000, dt.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"
