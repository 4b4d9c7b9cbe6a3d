"""Duo in memory: what it has, when it shows it, and how it answers; with bytes, so that real decoding runs on them.

Place: ``SimulatedClient`` replaces the one method of ``DuoClient`` that speaks HTTP; signing, reading and sorting of answers
are the program's.

Contract: every row holds a *marker*, a word that every format writes, so that whatever arrives tells which row it was. Rows are
served in the order (time, arrival); a cursor names the row behind which it goes on. What is published late appears among older
rows. Troubles are answers that wait in a queue: each is given once.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import http.client
import json
import re
import urllib.parse
from collections import Counter, deque
from dataclasses import dataclass
from email.message import Message
from types import SimpleNamespace
from typing import Any

from tests.proof.simulation import Simulation
from transforms.duo.client import DuoClient

MARKER = re.compile(rb"mk[0-9]{6}x")
SERVED_AFTER_SECS = 5.0
PATHS = {
    "/admin/v2/logs/activity": "activity",
    "/admin/v2/logs/authentication": "auth",
    "/admin/v2/logs/telephony": "telephony",
}


@dataclass(frozen=True)
class Row:
    """A row of Duo's. ``shown_at``: Duo's time from which on it is served. ``odd``: what is wrong with it."""

    log_type: str
    time_ms: int
    number: int
    raw: bytes
    shown_at: float
    odd: str = ""

    @property
    def marker(self) -> bytes:
        return MARKER.findall(self.raw)[0]


def _texts(log_type: str, number: int, time_ms: int) -> dict[str, Any]:
    name = f"mk{number:06d}x of Ada"
    moment = dt.datetime.fromtimestamp(time_ms / 1000, tz=dt.timezone.utc).isoformat(timespec="milliseconds")
    if log_type == "auth":
        return {"txid": f"tx-{number}", "isotimestamp": moment, "timestamp": time_ms // 1000, "user": {"name": name}}
    if log_type == "telephony":
        return {"telephony_id": f"te-{number}", "ts": moment, "context": "enrollment", "phone": name, "type": "sms"}
    return {
        "activity_id": f"ac-{number}",
        "ts": moment,
        "action": {"name": "user_update"},
        "actor": {"name": name, "type": "user"},
    }


ODDITIES = (
    "lone surrogate", "not a number", "control character", "nesting", "no UTF-8", "end of time", "pretty", "no time", "no id",
)  # fmt: skip


def make_row(log_type: str, number: int, time_ms: int, shown_at: float, odd: str = "", like: Row | None = None) -> Row:
    """A row as Duo would write it, or as somebody who types strange user names makes Duo write it."""
    fields = _texts(log_type, number, time_ms)
    id_field = next(iter(fields))
    if odd == "same id" and like is not None:
        fields[id_field] = json.loads(like.raw)[id_field]
    elif odd == "end of time":
        fields |= {key: "9999-12-31T23:59:59-01:00" for key in ("ts", "isotimestamp") if key in fields}
        fields.pop("timestamp", None)
    elif odd == "no time":
        for key in ("ts", "isotimestamp", "timestamp"):
            fields.pop(key, None)
    elif odd == "no id":
        del fields[id_field]
    elif odd == "lone surrogate":
        fields["note"] = "bob\ud800"
    raw = json.dumps(fields, indent=1 if odd == "pretty" else None).encode()
    more = {
        "not a number": b"NaN",
        "control character": b'"a\x01b"',
        "nesting": b"[" * 1200 + b"]" * 1200,
        "no UTF-8": b'"\xff"',
    }
    if odd in more:
        raw = raw[:-1] + b', "note": ' + more[odd] + b"}"
    return Row(log_type, time_ms, number, raw, shown_at, odd)


class Duo:
    """One account's logs."""

    def __init__(self, simulation: Simulation, page_rows: int) -> None:
        self.simulation = simulation
        self.page_rows = page_rows
        self.rows: list[Row] = []
        self.served: set[int] = set()
        self.troubles: deque[str] = deque()
        self.counts: Counter[str] = Counter()
        self._number = 0

    def publish(
        self, log_type: str, count: int, *, ago_secs: float = 0.0, over_secs: float = 1.0, late_secs: float = 0.0
    ) -> list[Row]:
        """New rows, the first so long ago; served a little later as always, or so much later."""
        now = self.simulation.true_secs
        made = []
        for _ in range(count):
            at = now - ago_secs + self.simulation.rng.uniform(0, over_secs)
            made.append(self._add(log_type, int(at * 1000), max(now, at + SERVED_AFTER_SECS) + late_secs))
        return made

    def publish_odd(self, log_type: str, odd: str) -> None:
        """An odd row, and plain ones around it."""
        now = self.simulation.true_secs
        before, *_ = self.publish(log_type, 2)
        self._add(log_type, int(now * 1000), now + SERVED_AFTER_SECS, odd, before)
        self.publish(log_type, 2)

    def _add(self, log_type: str, time_ms: int, shown_at: float, odd: str = "", like: Row | None = None) -> Row:
        self._number += 1
        row = make_row(log_type, self._number, time_ms, shown_at, odd, like)
        self.rows.append(row)
        self.counts["odd rows"] += bool(odd)
        return row

    # --- answers -----------------------------------------------------------------------------------------------------

    def answer(self, path: str, params: dict[str, str], signed_secs: float) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises what a broken connection raises.

        Args:
          signed_secs: the time that the request says it was signed at.
        """
        trouble = self.troubles.popleft() if self.troubles else ""
        if trouble:
            self.counts[trouble] += 1
        headers = {"Date": email.utils.formatdate(self.simulation.true_secs, usegmt=True)}
        if trouble == "wrong date":
            headers["Date"] = email.utils.formatdate(self.simulation.true_secs - 86_400 * 300, usegmt=True)
        if abs(signed_secs - self.simulation.true_secs) > _BELIEVED_SECS:
            self.counts["requests of another time"] += 1
            return 401, headers, _BAD_TIMESTAMP
        if trouble in _STATUSES:
            return _STATUSES[trouble][0], headers | _STATUSES[trouble][1], _STATUSES[trouble][2]
        if trouble == "page refused" and "next_offset" in params:
            return (
                400,
                headers,
                b'{"code":40002,"message":"Invalid request parameters","message_detail":"next_offset","stat":"FAIL"}',
            )
        if trouble == "no answer":
            self.simulation.sleep(60.0)
            raise TimeoutError("timed out")
        body = self._page(PATHS[path], params, empty=trouble == "empty answer")
        if trouble == "cut body":
            raise http.client.IncompleteRead(body[: len(body) // 2], len(body) // 2)
        if trouble == "half a body":
            body = body[: len(body) // 2]
        return 200, headers, body

    def _page(self, log_type: str, params: dict[str, str], *, empty: bool) -> bytes:
        low, high = int(params["mintime"]), int(params["maxtime"])
        shown = [r for r in self.rows if r.log_type == log_type and r.shown_at <= self.simulation.true_secs]
        window = sorted((r for r in shown if low <= r.time_ms <= high), key=lambda r: (r.time_ms, r.number))
        rest = window
        if "next_offset" in params:
            at_ms, _, name = params["next_offset"].partition(",")
            rest = [r for r in window if (r.time_ms, r.number) > (int(at_ms), int(name.rpartition("-")[2]))]
        page = [] if empty else rest[: min(self.page_rows, int(params["limit"]))]
        metadata: dict[str, Any] = {"total_objects": len(window)}
        if len(page) < len(rest) and page:
            cursor = [str(page[-1].time_ms), f"row-{page[-1].number}"]
            metadata["next_offset"] = cursor if log_type == "auth" else ",".join(cursor)
        self.served.update(r.number for r in page)
        if empty and rest:
            self.counts["rows hidden by an empty answer"] += len(rest)
        key = b"authlogs" if log_type == "auth" else b"items"
        rows = b",".join(r.raw for r in page)
        return b'{"stat":"OK","response":{"%b":[%b],"metadata":%b}}' % (key, rows, json.dumps(metadata).encode())


_BELIEVED_SECS = 300.0
_BAD_TIMESTAMP = b'{"code":40105,"message":"Bad request timestamp","stat":"FAIL"}'
_HTML = b"<!DOCTYPE html><html><body>Please log in.</body></html>"
_STATUSES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "rate limited": (429, {}, b'{"code":42901,"message":"Too Many Requests","stat":"FAIL"}'),
    "rate limited for a while": (429, {"Retry-After": "20"}, b'{"code":42901,"message":"Too Many Requests","stat":"FAIL"}'),
    "server error": (503, {}, b"upstream connect error"),
    "a page of HTML": (200, {}, _HTML),
    "a proxy's 401": (401, {}, _HTML),
    "a proxy's 403": (403, {}, _HTML),
}
TROUBLES = (
    *_STATUSES, "page refused", "no answer", "cut body", "half a body", "empty answer", "wrong date",
)  # fmt: skip


def client_of(duo: Duo) -> type[DuoClient]:
    """The program's client, with this Duo at the other end."""

    class SimulatedClient(DuoClient):
        def _make_request(self, method: str, uri: str, body: Any, headers: Any) -> Any:
            duo.simulation.operation(duo.simulation.rng.uniform(0.01, 0.3))
            parts = urllib.parse.urlsplit(uri)
            signed_secs = email.utils.mktime_tz(email.utils.parsedate_tz(headers[b"Date"].decode()))
            status, answered, content = duo.answer(parts.path, dict(urllib.parse.parse_qsl(parts.query)), signed_secs)
            message = Message()
            for name, value in answered.items():
                message[name] = value
            response = SimpleNamespace(status=status, headers=message, will_close=False)
            self._note_skew(response)
            return response, content

    return SimulatedClient
