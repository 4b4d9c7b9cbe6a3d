"""A Splunk HTTP Event Collector, as its documentation has it: tokens, codes, batches refused at an event, acknowledgements."""

from __future__ import annotations

import json

from tests.destinations.http.standins.server import Asked, Reply

TOKEN = "11111111-2222-3333-4444-555555555555"


class Hec:
    """See the module.

    Attributes:
      received: each event's ``event``, in the order in which they came. events: the whole objects.
      poison: an event that holds it is refused. names_culprit: with its number.
      indexes: those that there are; None for any.
      acknowledges: the token has indexer acknowledgement. indexes_late: so many questions are answered with false first.
    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.events: list[dict] = []
        self.poison = b"poison"
        self.names_culprit = True
        self.most_bytes = 1_000_000
        self.indexes: set[str] | None = None
        self.acknowledges = False
        self.indexes_late = 0
        self.acks: dict[str, dict[int, int]] = {}
        self.code = 0  # of success
        self._next_ack = 0

    def answer(self, asked: Asked) -> Reply:
        if asked.path == "/services/collector/health":
            return said(200, 17)
        if (refused := self._without_leave(asked)) is not None:
            return refused
        channel = asked.headers.get("x-splunk-request-channel") or asked.query.get("channel")
        if asked.path == "/services/collector/ack":
            return self._ack(asked, channel)
        if self.acknowledges and channel is None:
            return said(400, 10)
        if asked.path == "/services/collector/raw":
            return self._raw(asked, channel)
        if asked.path in ("/services/collector/event", "/services/collector"):
            return self._event(asked, channel)
        return Reply(404, b'{"text":"The requested URL was not found on this server.","code":404}')

    def _without_leave(self, asked: Asked) -> Reply | None:
        authorization = asked.headers.get("authorization")
        if authorization is None:
            return said(401, 2)
        if not authorization.startswith("Splunk "):
            return said(401, 3)
        return None if authorization == f"Splunk {TOKEN}" else said(403, 4)

    def _event(self, asked: Asked, channel: str | None) -> Reply:
        if not asked.body.strip():
            return said(400, 5)
        if len(asked.body) > self.most_bytes:
            return Reply(413, b"")
        taken = []
        for number, line in enumerate(asked.body.splitlines()):
            code = self._fault(line)
            if code:
                # What came before it may be taken; this one takes it.
                self._take(taken)
                return said(400, code, **({"invalid-event-number": number} if self.names_culprit else {}))
            taken.append(json.loads(line))
        self._take(taken)
        return self._taken(channel)

    def _fault(self, line: bytes) -> int:
        try:
            event = json.loads(line)
        except ValueError:
            return 6
        if "event" not in event:
            return 12
        if event["event"] in ("", {}, None):
            return 13
        if self.indexes is not None and event.get("index") not in self.indexes:
            return 7
        if not isinstance(event.get("time", 0.0), (int, float)):
            return 15
        return 6 if self.poison in line else 0

    def _take(self, events: list[dict]) -> None:
        self.events += events
        texts = (each["event"] if isinstance(each["event"], str) else json.dumps(each["event"]) for each in events)
        self.received += [text.encode() for text in texts]

    def _raw(self, asked: Asked, channel: str | None) -> Reply:
        if channel is None:
            return said(400, 10)
        self.received += asked.body.splitlines()
        self.events += [{"event": line.decode(), **asked.query} for line in asked.body.splitlines()]
        return self._taken(channel)

    def _taken(self, channel: str | None) -> Reply:
        if not self.acknowledges or channel is None:
            return said(200, self.code)
        ids = self.acks.setdefault(channel, {})
        ack_id, self._next_ack = self._next_ack, self._next_ack + 1
        ids[ack_id] = self.indexes_late
        return said(200, self.code, ackId=ack_id)

    def _ack(self, asked: Asked, channel: str | None) -> Reply:
        if not self.acknowledges:
            return said(400, 14)
        ids = self.acks.get(channel or "")
        if ids is None:
            return said(400, 11)
        answers = {}
        for ack_id in json.loads(asked.body)["acks"]:
            left = ids.get(ack_id)
            answers[str(ack_id)] = left == 0
            if left == 0:
                del ids[ack_id]
            elif left:
                ids[ack_id] = left - 1
        return Reply(200, json.dumps({"acks": answers}).encode())


TEXTS = {0: "Success", 4: "Invalid token", 5: "No data", 6: "Invalid data format", 7: "Incorrect index", 17: "HEC is healthy"}


def said(status: int, code: int, **more: object) -> Reply:
    body = {"text": TEXTS.get(code, "Something"), "code": code, **more}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
