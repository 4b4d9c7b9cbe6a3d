"""Every destination over HTTP with every trouble: what is lost, what is repeated, what becomes a dead letter.

``python -m tests.destinations.http.faults`` prints the table; ``test_faults`` says what must hold in it.

Each cell sends 60 events in requests of 10, and the trouble comes in the middle of it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.destinations.http.making import FAST, http_destination, page, row
from tests.destinations.http.standins import hec as hec_standin
from tests.destinations.http.standins import server, vendors
from tests.destinations.http.standins.server import StandIn, cut_after_taking, cut_in_the_answer, silence_after_taking, status
from tests.destinations.http.standins.tokens import CLIENT_ID, CLIENT_SECRET
from transforms.destinations.http import generic, hec
from transforms.destinations.http.generic_settings import OAuth
from transforms.destinations.http.sender import HttpSender
from transforms.secrets import SecretRef

EVENTS, EACH = 60, 10
POISONED = 34
_TUNING = replace(FAST, ack_secs=0.6)


@dataclass(frozen=True)
class Outcome:
    """``repeated``: how many events arrived once more than needed. ``dead``: events that became dead letters."""

    lost: int
    repeated: int
    dead: tuple[int, ...]
    reconnects: int
    resent: int


# ---- destinations ----


def _secret(name: str, value: str) -> SecretRef:
    os.environ[name] = value
    return SecretRef("env", name)


def _hec(*, acknowledges: bool) -> tuple[StandIn, HttpSender]:
    collector = StandIn(hec_standin.Hec())
    collector.receiver.acknowledges = acknowledges
    token = _secret("FAULTS_HEC", hec_standin.TOKEN)
    return collector, _sender(hec.make, "hec", collector, token=token, acknowledge=acknowledges)


def _http(receiver: Any, **settings: Any) -> tuple[StandIn, HttpSender]:
    standin = StandIn(receiver)
    return standin, _sender(generic.make, "http", standin, **settings)


def _sender(make: Callable, kind: str, standin: StandIn, **settings: Any) -> HttpSender:
    there = http_destination(kind, standin.url, batch_events=EACH, request_timeout_secs=1.0, **settings)
    return make(there, _TUNING)


def _sentinel() -> tuple[StandIn, HttpSender]:
    standin = StandIn(vendors.Sentinel())
    oauth = OAuth(
        client_id=CLIENT_ID,
        client_secret=_secret("FAULTS_CLIENT", CLIENT_SECRET),
        token_url=f"{standin.url}/t/oauth2/v2.0/token",
    )
    return standin, _sender(generic.make, "http", standin, preset="sentinel", rule_id=vendors.RULE_ID, oauth=oauth)


def _secops() -> tuple[StandIn, HttpSender]:
    standin = StandIn(vendors.Chronicle())
    key = json.dumps(standin.receiver.tokens.service_account(f"{standin.url}/token"))
    more = {"preset": "secops", "instance": vendors.INSTANCE, "forwarder": "f"}
    return standin, _sender(generic.make, "http", standin, service_account=_secret("FAULTS_KEY", key), **more)


DESTINATIONS: dict[str, Callable[[], tuple[StandIn, HttpSender]]] = {
    "hec": lambda: _hec(acknowledges=False),
    "hec, acknowledged": lambda: _hec(acknowledges=True),
    "http": lambda: _http(vendors.Plain()),
    "sentinel": _sentinel,
    "elastic": lambda: _http(vendors.Elastic(), preset="elastic", token=_secret("FAULTS_ELASTIC", vendors.Elastic.KEY)),
    "datadog": lambda: _http(
        vendors.Datadog(), preset="datadog", token=_secret("FAULTS_DATADOG", vendors.Datadog.KEY), too_old="send"
    ),
    "sumo": lambda: _http(vendors.Plain(), preset="sumo", rejected_statuses=(400,)),
    "secops": _secops,
    "otlp": lambda: _http(vendors.Otlp(), preset="otlp"),
}
IN_PART = {"otlp"}
"""Of a request that is taken in part, they do not say which part."""
WITHOUT_BODY = {"sentinel"}
"""Their answer is a head and nothing else, so that it is whole where the connection ends behind it."""
KNOW_REPEATS = {"elastic"}
"""What is there already is not stored again."""
TAKE_A_PART = {"hec", "hec, acknowledged"}
"""What stands before a bad event is taken."""


# ---- troubles ----


def _restart(standin: StandIn) -> None:
    standin.stop()
    standin.start()


def _away(standin: StandIn) -> None:
    standin.stop()
    threading.Timer(0.5, standin.start).start()


def _next(*troubles: server.Trouble) -> Callable[[StandIn], None]:
    def come(standin: StandIn) -> None:
        standin.troubles += troubles

    return come


def _cut_in_the_request(standin: StandIn) -> None:
    standin.cuts_body_after = 100


def _slow(standin: StandIn) -> None:
    standin.slow_secs = 0.1


def _nothing(_standin: StandIn) -> None:
    """The events themselves are the trouble."""


TROUBLES: dict[str, Callable[[StandIn], None]] = {
    "none": _nothing,
    "restart": _restart,
    "refusal": _away,
    "429 with Retry-After": _next(status(429, Retry_After="1")),
    "503": _next(status(503), status(503)),
    "timeout after acceptance": _next(silence_after_taking(1.5)),
    "poisoned event": _nothing,
    "slow answers": _slow,
    "cut within the request": _cut_in_the_request,
    "cut after acceptance": _next(cut_after_taking),
    "cut within the answer": _next(cut_in_the_answer),
}


@contextmanager
def _running(destination: str) -> Iterator[tuple[StandIn, HttpSender]]:
    standin, sender = DESTINATIONS[destination]()
    try:
        yield standin, sender
    finally:
        sender.close(0.0)
        standin.stop()


def run(destination: str, trouble: str) -> Outcome:
    """One cell."""
    now_ms = int(time.time() * 1000)
    those = [row(number, time_ms=now_ms) for number in range(EVENTS)]
    if trouble == "poisoned event":
        those[POISONED] = row(POISONED, time_ms=now_ms, note="poison")
    half = EVENTS // 2
    with _running(destination) as (standin, sender):
        sender.begin()
        sender.send(page(those[:half]))
        TROUBLES[trouble](standin)
        sender.send(page(those[half:]))
        rejected = tuple(rejection.index for rejection in sender.confirm().rejected)
        _settled(standin)
        arrived = [json.loads(text)["txid"] for text in standin.received]
        sent = {json.loads(each)["txid"] for each in those}
        dead = {json.loads(those[index])["txid"] for index in rejected}
        lost = len(sent - set(arrived) - dead)
        return Outcome(lost, len(arrived) - len(set(arrived)), rejected, sender.reconnects, sender.resent)


def _settled(standin: StandIn) -> None:
    """Nothing that was asked is still being dealt with."""
    before = -1
    while before != len(standin.received):
        before = len(standin.received)
        time.sleep(0.05)


def table() -> str:
    """Lost / repeated, and how many became dead letters, as Markdown."""
    lines = ["| trouble | " + " | ".join(DESTINATIONS) + " |", "|---|" + "---|" * len(DESTINATIONS)]
    for trouble in TROUBLES:
        cells = [cell(run(destination, trouble)) for destination in DESTINATIONS]
        lines.append(f"| {trouble} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(outcome: Outcome) -> str:
    """As the table has it."""
    dead = f", {len(outcome.dead)} dead" if outcome.dead else ""
    return f"{outcome.lost} / {outcome.repeated}{dead}"


if __name__ == "__main__":
    print(table())
