"""``/tap``: events as they pass, for ``duologsync tap``.

Place in the flow: a route of the endpoint; ``transforms.destinations.tap`` has the events, ``pipelines.commands.tap`` shows
them.

Contract: only who shows the key that stands in ``.monitoring`` of the checkpoint directory is answered: what any user of this
machine can reach over loopback must not show events to any user. Each event is a line of JSON, masked unless it is asked for as
it is; an empty line now and then shows that both ends are alive. Ends with the program.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import parse_qs, quote, urlencode

import msgspec

from pipelines.monitoring.exchange import Answer, Request, text
from transforms.destinations.tap import TAP, Wants
from transforms.events.masking import masked
from transforms.process.shutdown import STOP
from transforms.records import Subscription

PATH, KEY_HEADER = "/tap", "X-Duologsync-Key"
_ALIVE_SECS = 2.0


class TappedEvent(msgspec.Struct, omit_defaults=True):
    """One line. ``dropped``: so many passed unseen before it, because whoever watches was too slow."""

    time_ms: int
    account: str = ""
    log_type: str = ""
    destination: str = ""
    event: str = ""
    dropped: int = 0


class Tapping:
    """Answers ``/tap`` for who has the key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def answer(self, request: Request) -> Answer:
        """Of the query ``stream``, ``log_type`` and ``destination`` choose, each as often as wanted; ``raw`` masks nothing."""
        if not hmac.compare_digest(request.header(KEY_HEADER).encode("utf-8", "surrogateescape"), self._key.encode()):
            return text(HTTPStatus.FORBIDDEN, "only duologsync tap may watch: it reads the key in the checkpoint directory")
        query = parse_qs(request.query)
        wants = _wanted(query.get("stream", []), query.get("log_type", []), query.get("destination", []))
        return Answer(HTTPStatus.OK, "application/x-ndjson", _lines(wants, raw="raw" in query))


def query_of(streams: tuple[str, ...], log_types: tuple[str, ...], destinations: tuple[str, ...], *, raw: bool) -> str:
    """The path with the query that asks for these."""
    chosen = [*(("stream", each) for each in streams), *(("log_type", each) for each in log_types)]
    chosen += [("destination", each) for each in destinations]
    chosen += [("raw", "1")] if raw else []
    return f"{PATH}?{urlencode(chosen, quote_via=quote)}"


def _wanted(streams: list[str], log_types: list[str], destinations: list[str]) -> Wants:
    def wants(subscription: Subscription) -> bool:
        stream = subscription.stream
        names = (str(stream), stream.account, stream.account.partition("/")[0])
        return (
            (not streams or any(name in streams for name in names))
            and (not log_types or stream.log_type in log_types)
            and (not destinations or subscription.destination in destinations)
        )

    return wants


def _lines(wants: Wants, *, raw: bool) -> Iterator[bytes]:
    with TAP.watching(wants) as watcher:
        yield b"\n"
        while not STOP.requested:
            events, dropped = watcher.take(_ALIVE_SECS)
            lines = [_line(TappedEvent(_now_ms(), dropped=dropped))] if dropped else []
            lines += [_line(_told(subscription, row, raw=raw)) for subscription, row in events]
            yield b"".join(lines) or b"\n"


def _told(subscription: Subscription, row: bytes, *, raw: bool) -> TappedEvent:
    event = row.decode("utf-8", "backslashreplace") if raw else masked(row)
    stream = subscription.stream
    return TappedEvent(_now_ms(), stream.account, stream.log_type, subscription.destination, event)


def _line(event: TappedEvent) -> bytes:
    return msgspec.json.encode(event) + b"\n"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
