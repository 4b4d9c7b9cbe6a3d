"""Splunk's HTTP Event Collector: its requests, and what its answers mean.

Place in the flow: one of the kinds; ``sender`` delivers, this is the dialect.

Delivered means: the collector answered code 0 or 24, which says that it took all events of the request, before it parsed and
indexed them; with ``acknowledge``, that the indexers have them. Of Splunk Cloud, which has no acknowledgement, and of others
that speak the protocol, the answer is all that there is: VictoriaLogs was seen to answer 200 to a request of which it dropped
an event that was no JSON.

``endpoint: event`` sends each event with its own time and names; a message that is a JSON object goes as one, any other as a
text. ``endpoint: raw`` sends lines, and Splunk finds out their times by the sourcetype.

Codes: 0 to 17 are Splunk's documented ones. 18 to 27 were seen in two independent open implementations that quote its pages;
a code that is not in the table is judged by its status.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

import msgspec

from transforms.destinations.http.address import address
from transforms.destinations.http.bodies import as_json
from transforms.destinations.http.connection import Answer, HttpConnection, Request
from transforms.destinations.http.credentials import Fixed, in_header
from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.hec_settings import HecSettings
from transforms.destinations.http.requests import compressed, origin_of, plain_headers, secret_headers, way_of
from transforms.destinations.http.sender import HttpSender
from transforms.destinations.http.tuning import Tuning
from transforms.destinations.http.verdict import DELIVERED, Fate, Verdict
from transforms.destinations.stream.connection import Watch
from transforms.process.retry_after import retry_after_secs
from transforms.records import Stream
from transforms.settings import Destination

_MOST_EVENTS = 5000
_MOST_BYTES = 1_000_000  # Splunk's customary limit of one request

_LEAVE = "Check the token, and that it is switched on."
_INDEX = "Set index to one that the token may write to, and that there is."
_CHANNEL = "Set acknowledge as it is switched on for the token."
_WAITS = "It is asked again."

CODES: Mapping[int, tuple[Fate, str, str]] = {
    0: (Fate.DELIVERED, "success", ""),
    1: (Fate.WITHOUT_LEAVE, "the token is disabled", _LEAVE),
    2: (Fate.WITHOUT_LEAVE, "it wants a token", _LEAVE),
    3: (Fate.WITHOUT_LEAVE, "it does not understand the token", _LEAVE),
    4: (Fate.WITHOUT_LEAVE, "the token is not valid", _LEAVE),
    5: (Fate.REFUSED, "it finds no data", ""),
    6: (Fate.REFUSED, "it cannot read the data", ""),
    7: (Fate.MISCONFIGURED, "the index is not one that the token may write to", _INDEX),
    8: (Fate.LATER, "it has an error of its own", _WAITS),
    9: (Fate.LATER, "it is busy", _WAITS),
    10: (Fate.MISCONFIGURED, "it wants a channel", _CHANNEL),
    11: (Fate.MISCONFIGURED, "it does not take the channel", _CHANNEL),
    12: (Fate.REFUSED, "it finds no event field", ""),
    13: (Fate.REFUSED, "it finds the event field blank", ""),
    14: (Fate.MISCONFIGURED, "indexer acknowledgement is switched off there", _CHANNEL),
    15: (Fate.REFUSED, "it cannot handle the event's time or indexed fields", ""),
    16: (Fate.MISCONFIGURED, "it takes no token in the address", "Give token by its own key."),
    17: (Fate.DELIVERED, "healthy", ""),
    18: (Fate.LATER, "it is not well: its queues are full", _WAITS),
    19: (Fate.LATER, "its acknowledgements are not available", _WAITS),
    20: (Fate.LATER, "its queues are full, and its acknowledgements not available", _WAITS),
    21: (Fate.WITHOUT_LEAVE, "the token is not valid", _LEAVE),
    22: (Fate.WITHOUT_LEAVE, "the token is disabled", _LEAVE),
    23: (Fate.LATER, "it is shutting down", _WAITS),
    24: (Fate.DELIVERED, "its queue is nearly full", ""),
    25: (Fate.DELIVERED, "its acknowledgements are nearly full", ""),
    26: (Fate.LATER, "its queue is full", _WAITS),
    27: (Fate.LATER, "its channel for acknowledgements is full", _WAITS),
}
"""What each code of a collector means: the fate of the request's events, the cause, and the fix."""
_NEARLY_FULL = (24, 25)
_FAILED = 8

STATUSES: Mapping[int, tuple[Fate, str, str]] = {
    400: (Fate.REFUSED, "it finds fault with the request", ""),
    401: (Fate.WITHOUT_LEAVE, "it does not take the token", _LEAVE),
    403: (Fate.WITHOUT_LEAVE, "it does not take the token", _LEAVE),
    404: (Fate.MISCONFIGURED, "there is no collector at this address", "Give url without /services/collector."),
    405: (Fate.MISCONFIGURED, "there is no collector at this address", "Give url without /services/collector."),
    413: (Fate.TOO_LARGE, "the request is too long", ""),
}
"""What a status means that comes without a code of the table."""


class _Said(msgspec.Struct, rename={"culprit": "invalid-event-number", "ack_id": "ackId"}):
    code: int | None = None
    culprit: int | None = None
    ack_id: int | None = None


class _Acks(msgspec.Struct):
    acks: dict[str, bool] = {}


_read_said = msgspec.json.Decoder(_Said).decode
_read_acks = msgspec.json.Decoder(_Acks).decode


def make(destination: Destination[HecSettings], tuning: Tuning | None = None) -> HttpSender:
    """A sender that connects when the first request is made."""
    settings = destination.settings
    connection = HttpConnection(destination.name, partial(origin_of, settings.url), way_of(settings))
    return HttpSender(destination, HecDialect(settings), connection, tuning or Tuning())


class HecDialect:
    """A ``Dialect``."""

    def __init__(self, settings: HecSettings) -> None:
        self.most_events = settings.batch_events or _MOST_EVENTS
        self.most_bytes = settings.batch_bytes or _MOST_BYTES
        self.most_event_bytes: int | None = None
        self._settings = settings
        self._path = address(settings.url).path
        self._plain = plain_headers(settings)
        token = {"Authorization": partial(in_header, settings.token, "Splunk ")}
        self._credentials = Fixed(secret_headers(settings) | token)
        self._channel = str(uuid.uuid4())
        self._openings: dict[Stream, bytes] = {}

    # ---- events ----

    def piece(self, event: Outgoing) -> bytes:
        if self._settings.endpoint == "raw":
            return event.message + b"\n"
        opening = self._openings.get(event.stream)
        if opening is None:
            opening = self._openings[event.stream] = self._opening(event.stream)
        time_ms = event.time_ms
        # Splunk takes no time before 1970.
        at = b'"time":%d.%03d,' % divmod(time_ms, 1000) if time_ms is not None and time_ms >= 0 else b""
        return b'{%b%b"event":%b}\n' % (at, opening, as_json(event.message))

    def _opening(self, stream: Stream) -> bytes:
        return msgspec.json.encode(self._names(stream))[1:-1] + b","

    def _names(self, stream: Stream) -> dict[str, str]:
        own = self._settings.named(stream.log_type)
        host = own.event_host or stream.api_host
        names = {"host": host, "source": own.source, "sourcetype": own.sourcetype, "index": own.index}
        return {key: value for key, value in names.items() if value}

    # ---- requests ----

    def request(self, stream: Stream, pieces: Sequence[bytes], watch: Watch) -> Request:
        raw = self._settings.endpoint == "raw"
        headers = self._headers(watch)
        query = {}
        if raw or self._settings.acknowledge:
            headers["X-Splunk-Request-Channel"] = self._channel
        if raw:
            query = self._names(stream)
        headers["Content-Type"] = "text/plain; charset=utf-8" if raw else "application/json"
        body = b"".join(pieces)
        if self._settings.gzip:
            body = compressed(body, headers)
        return Request("POST", self._target("raw" if raw else "event", query), headers, body)

    def acks(self, ack_ids: Sequence[int], watch: Watch) -> Request | None:
        headers = self._headers(watch)
        headers["X-Splunk-Request-Channel"] = self._channel
        headers["Content-Type"] = "application/json"
        body = msgspec.json.encode({"acks": list(ack_ids)})
        return Request("POST", self._target("ack", {"channel": self._channel}), headers, body)

    def probe(self, watch: Watch) -> Request | None:
        headers = self._headers(watch)
        # Nothing is no event: who takes the token says that there is none.
        headers["X-Splunk-Request-Channel"] = self._channel
        headers["Content-Length"] = "0"
        return Request("POST", self._target("event", {}), headers)

    def _headers(self, watch: Watch) -> dict[str, str]:
        return {**self._plain, **self._credentials.headers(watch)}

    def _target(self, what: str, query: Mapping[str, str]) -> str:
        path = f"{self._path}/services/collector/{what}"
        return f"{path}?{urlencode(query)}" if query else path

    # ---- answers ----

    def judge(self, answer: Answer, count: int) -> Verdict:  # noqa: ARG002  # it speaks of one event at most
        said = _said(answer.body)
        verdict = self._of_code(answer, said)
        if verdict.fate is not Fate.DELIVERED:
            return verdict
        if not self._settings.acknowledge:
            return verdict
        if said is None or said.ack_id is None:
            return Verdict(Fate.MISCONFIGURED, "it does not acknowledge what is indexed", _CHANNEL)
        return Verdict(Fate.DELIVERED, ack_id=said.ack_id, slow_down=verdict.slow_down)

    def _of_code(self, answer: Answer, said: _Said | None) -> Verdict:
        status = answer.status
        code = said.code if said is not None else None
        known = CODES.get(code) if code is not None else None
        ok = 200 <= status < 300
        if known is None or (known[0] is Fate.DELIVERED) != ok:  # status and code that contradict each other
            return _of_status(answer)
        fate, cause, fix = known
        if fate is Fate.DELIVERED:
            return Verdict(fate, slow_down=code in _NEARLY_FULL)
        cause = f"{cause} (status {status}, code {code})"
        culprit = said.culprit if said is not None else None
        return Verdict(fate, cause, fix, retry_after_secs(answer.headers), culprit, failed=code == _FAILED)

    def judge_probe(self, answer: Answer) -> Verdict:
        verdict = self._of_code(answer, _said(answer.body))
        nothing_in_it = verdict.fate in (Fate.REFUSED, Fate.TOO_LARGE) or 200 <= answer.status < 300
        return DELIVERED if nothing_in_it else verdict

    def acknowledged(self, answer: Answer, ack_ids: Sequence[int]) -> frozenset[int] | None:
        if answer.status == 429 or answer.status >= 500:
            return frozenset()
        try:
            acks = _read_acks(answer.body).acks if answer.status == 200 else None
        except (msgspec.DecodeError, RecursionError):
            acks = None
        if acks is None:
            self._channel = str(uuid.uuid4())  # it does not know the channel any more, nor what was sent on it
            return None
        return frozenset(ack_id for ack_id in ack_ids if acks.get(str(ack_id)) is True)

    def renew(self) -> bool:
        return self._credentials.renew()

    def begin(self) -> None:
        """Nothing is left of a bundle before."""

    def close(self) -> None:
        self._credentials.close()


def _said(body: bytes) -> _Said | None:
    try:
        return _read_said(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _of_status(answer: Answer) -> Verdict:
    status = answer.status
    wait_secs = retry_after_secs(answer.headers)
    if 200 <= status < 300:
        return Verdict(Fate.LATER, f"what answered (status {status}) is no collector", "See what is at the address.", wait_secs)
    if status in STATUSES:
        fate, cause, fix = STATUSES[status]
        return Verdict(fate, f"{cause} (status {status})", fix, wait_secs)
    if status in (408, 425, 429) or status >= 500:
        return Verdict(Fate.LATER, f"it answered {status}", _WAITS, wait_secs, failed=status == 500)
    return Verdict(Fate.MISCONFIGURED, f"it answered {status}", "Compare url with the collector's address.", wait_secs)
