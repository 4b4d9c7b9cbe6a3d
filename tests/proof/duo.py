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
from transforms.duo.client.client import DuoClient

MARKER = re.compile(rb"mk[0-9]{6}x")
SERVED_AFTER_SECS = 5.0
# More than this the SIEM of lines of JSON does not take.
MOST_BYTES = 4000
PATHS = {
    "/admin/v2/logs/activity": "activity",
    "/admin/v2/logs/authentication": "auth",
    "/admin/v2/logs/telephony": "telephony",
    "/admin/v1/trust_monitor/events": "trustmonitor",
    "/admin/v1/logs/administrator": "admin",
}
LOG_TYPES = tuple(PATHS.values())
_ROWS_KEYS = {"auth": b"authlogs", "trustmonitor": b"events"}
_WITHOUT_IDS = ("admin",)
_WITHOUT_COUNTS = ("trustmonitor", "admin")
# Logs of API v1 hide the rest of a second behind a full page, and say so; here no second is so full.
_PAGE_ROWS_OF_V1 = 300


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
    if log_type == "trustmonitor":
        return {"sekey": f"SE-{number}", "surfaced_timestamp": time_ms, "type": "bypass_status", "enabled_for": {"name": name}}
    if log_type == "admin":
        return {"timestamp": time_ms // 1000, "action": "user_update", "username": name, "object": "Bob"}
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
    "too long",
)  # fmt: skip


def make_row(log_type: str, number: int, time_ms: int, shown_at: float, odd: str = "", like: Row | None = None) -> Row:
    """A row as Duo would write it, or as somebody who types strange user names makes Duo write it."""
    fields = _texts(log_type, number, time_ms)
    id_field = next(iter(fields))
    if odd == "same id" and like is not None and log_type not in _WITHOUT_IDS:
        fields[id_field] = json.loads(like.raw)[id_field]
    elif odd == "too long":
        fields["note"] = "x" * 2 * MOST_BYTES
    elif odd == "end of time":
        fields |= {key: "9999-12-31T23:59:59-01:00" for key in ("ts", "isotimestamp") if key in fields}
        fields.pop("timestamp" if "isotimestamp" in fields else "", None)
    elif odd == "no time":
        for key in ("ts", "isotimestamp", "timestamp", "surfaced_timestamp"):
            fields.pop(key, None)
    elif odd == "no id" and log_type not in _WITHOUT_IDS:
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
        if trouble == "page refused" and {"next_offset", "offset"} & params.keys():
            return (
                400,
                headers,
                b'{"code":40002,"message":"Invalid request parameters","message_detail":"next_offset","stat":"FAIL"}',
            )
        if trouble == "no answer":
            self.simulation.sleep(60.0)
            raise TimeoutError("timed out")
        body = self._page(PATHS[path], params, trouble)
        if trouble == "cut body":
            raise http.client.IncompleteRead(body[: len(body) // 2], len(body) // 2)
        if trouble == "half a body":
            body = body[: len(body) // 2]
        return 200, headers, body

    def most_rows(self, log_type: str) -> int:
        """How many rows an answer may have, and how many are asked for."""
        return _PAGE_ROWS_OF_V1 if log_type == "admin" else self.page_rows

    def _page(self, log_type: str, params: dict[str, str], trouble: str) -> bytes:
        shown = [r for r in self.rows if r.log_type == log_type and r.shown_at <= self.simulation.true_secs]
        if log_type == "admin":
            rest = [row for row in _in_order(shown) if row.time_ms // 1000 >= int(params["mintime"])]
            return b'{"stat":"OK","response":[%b]}' % _as_list(rest[: self.most_rows(log_type)])
        low, high = int(params["mintime"]), int(params["maxtime"])
        rest = window = [row for row in _in_order(shown) if low <= row.time_ms <= high]
        if after := params.get("next_offset") or params.get("offset"):
            at_ms, _, name = after.partition(",")
            rest = [r for r in window if (r.time_ms, r.number) > (int(at_ms), int(name.rpartition("-")[2]))]
        # Without a count nobody could tell an empty answer from the end.
        hidden = trouble == "empty answer" and log_type not in _WITHOUT_COUNTS
        page = [] if hidden else rest[: min(self.page_rows, int(params["limit"]))]
        if rest and not page:
            self.counts["rows hidden by an empty answer"] += len(rest)
        metadata: dict[str, Any] = {}
        if log_type not in _WITHOUT_COUNTS:
            metadata["total_objects"] = len(window) + 94 * (trouble == "a count too high")
        if page and len(page) < len(rest):
            cursor = [str(page[-1].time_ms), f"row-{page[-1].number}"]
            metadata["next_offset"] = cursor if log_type == "auth" else ",".join(cursor)
        key = _ROWS_KEYS.get(log_type, b"items")
        body = b'{"stat":"OK","response":{"%b":[%b],"metadata":%b}}'
        return body % (key, _as_list(page), json.dumps(metadata).encode())


def _as_list(rows: list[Row]) -> bytes:
    return b",".join(row.raw for row in rows)


def _in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.time_ms, row.number))


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
    *_STATUSES, "page refused", "no answer", "cut body", "half a body", "empty answer", "wrong date", "a count too high",
)  # fmt: skip


def client_of(duo: Duo) -> type[DuoClient]:
    """The program's client, with this Duo at the other end."""

    class SimulatedClient(DuoClient):
        def exchange(self, method: str, uri: str, body: Any, headers: Any) -> Any:
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
