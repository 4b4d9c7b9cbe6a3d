"""Asks a search over HTTP, in slices of time that are small enough to be shown whole.

Place in the flow: a ``StoredReader``; ``splunk``, ``elastic`` and ``logsql`` are its dialects.

Contract: every search shows a limited number of events and says nothing of the rest, or cuts it off: so a slice of which it
shows as many as were asked for is asked for again in halves, down to one millisecond. One answer is in memory at a time. An
answer that is not whole (shards that failed, a search that was ended, a page of something else) is none. What passes is asked
again some times; what does not is told with its fix. Texts hold no secret and nothing of what a SIEM has said.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Protocol

from transforms.destinations.http.connection import Answer, HttpConnection, Request, Unanswered, Way
from transforms.destinations.http.credentials import Fixed, basic, in_header
from transforms.destinations.http.requests import origin_of
from transforms.destinations.stored.keys import Keys
from transforms.destinations.stored.reader import CannotBeShown, Stretch
from transforms.destinations.stored.settings import PLACES, SearchSettings
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import BadDestination, RetryLater
from transforms.process.clock import SYSTEM_CLOCK
from transforms.process.retry import Backoff, RetryPolicy
from transforms.process.retry_after import retry_after_secs
from transforms.records import Stream
from transforms.settings import Destination

LIMIT = 2000
"""Events of one answer: of 8 KB each, they are as long as an answer may be."""
_LIMIT_OF_A_MS = 10_000  # of one millisecond, which cannot be cut: as much as a search shows
_TRIES = 6
_RETRY = RetryPolicy(first_secs=0.5, longest_secs=20.0)
_LONGEST_WAIT_SECS = 60.0
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._:@/+-]")


class Shown(NamedTuple):
    """What one answer shows: the keys of its events, and whether those are all."""

    keys: list[str]
    whole: bool


class AnswerUnusable(Exception):
    """An answer that is none, or not whole. The text says why."""


class Question(NamedTuple):
    """What is asked: of which stream, which stretch, and how many events at most."""

    stream: Stream
    stretch: Stretch
    limit: int


class Dialect(Protocol):
    """How one product is asked."""

    def request(self, question: Question) -> Request:
        """Without credentials."""
        ...

    def shown(self, answer: Answer, question: Question, keys: Keys) -> Shown:
        """Raises AnswerUnusable."""
        ...


class SearchReader:
    """See the module."""

    of_rows = False

    def __init__(self, destination: Destination, settings: SearchSettings, dialect: Dialect) -> None:
        self._name = destination.name
        self._settings = settings
        self._dialect = dialect
        proxy = settings.proxy.server if settings.proxy is not None else None
        way = Way(settings.tls, proxy, answer_secs=settings.request_timeout_secs)
        self._connection = HttpConnection(destination.name, lambda: origin_of(settings.url), way)
        self._credentials = Fixed(_headers_with_secrets(settings))
        self._plain = dict(_plain_headers(settings))

    def keys(self, stream: Stream, stretch: Stretch) -> Iterator[str]:
        margin_ms = int(self._settings.margin_secs * 1000)
        waiting = [Stretch(stretch.from_ms - margin_ms, stretch.until_ms + margin_ms)]
        keys = Keys(_id_field(stream), self._settings.id_field)
        while waiting:
            part = waiting.pop()
            smallest = part.until_ms - part.from_ms <= 1
            shown = self._ask(Question(stream, part, _LIMIT_OF_A_MS if smallest else LIMIT), keys)
            if shown.whole:
                yield from shown.keys
            elif smallest:
                raise CannotBeShown(
                    f"{self._place} has more than {_LIMIT_OF_A_MS:,} events within one millisecond, and shows no more of them. "
                    "Where it goes by the time of arrival, in whole seconds, it cannot be audited by a search."
                )
            else:
                waiting += [Stretch(part.middle_ms, part.until_ms), Stretch(part.from_ms, part.middle_ms)]

    def close(self) -> None:
        self._connection.close()

    @property
    def _place(self) -> str:
        return f"The search of destination {self._name} ({self._settings.place})"

    def _ask(self, question: Question, keys: Keys) -> Shown:
        backoff = Backoff(_RETRY)
        while True:
            asked_secs = None
            try:
                answer = self._connection.call(self._request(question), _nothing)
                if answer.status == 200:
                    return self._dialect.shown(answer, question, keys)
                self._refuse(answer)
                cause, asked_secs = f"it answered {answer.status}", retry_after_secs(answer.headers, SYSTEM_CLOCK)
            except (Unanswered, AnswerUnusable) as error:
                cause = str(error)
            wait_secs = backoff.failed(asked_secs)
            if backoff.failures >= _TRIES or wait_secs > _LONGEST_WAIT_SECS:
                raise RetryLater(f"{self._place} cannot be asked now: {cause}.", kind="search")
            time.sleep(wait_secs)

    def _request(self, question: Question) -> Request:
        asked = self._dialect.request(question)
        return asked._replace(headers={**self._plain, **asked.headers, **self._credentials.headers(_nothing)})

    def _refuse(self, answer: Answer) -> None:
        """Raises where only a person can mend it."""
        if answer.status in (401, 403):
            if self._credentials.renew():
                return
            raise BadDestination(f"{self._place} answered {answer.status}: check its token or user, and that it may search.")
        if answer.status < 500 and answer.status not in (408, 425, 429):
            raise CannotBeShown(f"{self._place} answered {answer.status}: check url, and what is searched for.")


def filled(template: str, destination: Destination, stream: Stream) -> str:
    """A template of the settings for one stream. What is put in cannot end a text or begin a word of a query."""
    values = (
        stream.log_type,
        stream.account,
        stream.account_id or "",
        stream.api_host,
        destination.settings.name_of(stream.log_type),
    )
    for place, value in zip(PLACES, values, strict=True):
        template = template.replace(f"{{{place}}}", _UNSAFE.sub("", value))
    return template


def _id_field(stream: Stream) -> str | None:
    log_type = LOG_TYPES.get(stream.log_type)
    return log_type.id_field if log_type is not None else None


def _headers_with_secrets(settings: SearchSettings) -> dict[str, partial[str]]:
    if settings.token is not None:
        return {"Authorization": partial(in_header, settings.token, f"{settings.authorization} ")}
    if settings.user is not None and settings.password is not None:
        return {"Authorization": partial(basic, settings.user, settings.password)}
    return {}


def _plain_headers(settings: SearchSettings) -> Iterator[tuple[str, str]]:
    for header in settings.headers:
        name, _, value = header.partition(":")
        yield name.strip(), value.strip()


def _nothing() -> None:
    """An audit is ended by a signal."""
