"""What the tests of the reading rules share: rows, calls, settings, and a model of Duo made of values."""

import json
from dataclasses import replace
from datetime import datetime, timezone

from transforms.duo.log_types import LOG_TYPES
from transforms.duo.position.paging import Answer, after_answer
from transforms.duo.position.windows import Call, next_call
from transforms.settings import Reading
from transforms.state.cursor import Cursor

ACTIVITY = LOG_TYPES["activity"]
TRUST = LOG_TYPES["trustmonitor"]
BY_TIME = replace(ACTIVITY, pages_by_time=True, page_limit=4)
NOW_MS = 1_790_000_000_000 // 60_000 * 60_000
MINUTE = 60_000
READING = Reading(poll_interval_secs=120, lag_secs=120, overlap_secs=600)
NO_OVERLAP = replace(READING, overlap_secs=0)


def row(time_ms: int, event_id: str) -> bytes:
    moment = datetime.fromtimestamp(time_ms / 1000, tz=timezone.utc).isoformat(timespec="milliseconds")
    return json.dumps({"activity_id": event_id, "ts": moment}).encode()


def anonymous(time_ms: int, text: str) -> bytes:
    return row(time_ms, "").replace(b"}", b', "text": "%s"}' % text.encode())


def trust_row(time_ms: int, event_id: str) -> bytes:
    return json.dumps({"sekey": event_id, "surfaced_timestamp": time_ms, "state": "new"}).encode()


def inside(mintime_ms: int, maxtime_ms: int, offset: str | None = None, **changes: object) -> Call:
    return Call(Cursor(mintime_ms, maxtime_ms, offset, **changes), mintime_ms)


def opened(cursor: Cursor, now_ms: int, reading: Reading = READING) -> Call:
    call = next_call(cursor, now_ms, reading)
    assert isinstance(call, Call)
    return call


class FakeDuo:
    """Rows in the order in which they were published; serves pages like Duo's v2 logs."""

    def __init__(self, page_limit: int = 3) -> None:
        self.log_type = replace(ACTIVITY, page_limit=page_limit)
        self.rows: list[tuple[int, str]] = []
        self.calls = 0

    def publish(self, time_ms: int, event_id: str) -> None:
        self.rows.append((time_ms, event_id))

    def raw_of(self, time_ms: int, event_id: str) -> bytes:
        """The row that is served for what was published."""
        return row(time_ms, event_id)

    def serve(self, call: Call) -> Answer:
        self.calls += 1
        window = sorted((t, n, i) for n, (t, i) in enumerate(self.rows) if call.mintime_ms <= t <= call.maxtime_ms)
        total = len(window)
        if call.next_offset:
            at_ms, number = (int(part) for part in call.next_offset.split(","))
            window = [entry for entry in window if entry[:2] > (at_ms, number)]
        page = window[: self.log_type.page_limit]
        more = len(window) > len(page)
        return Answer([self.raw_of(t, i) for t, _, i in page], f"{page[-1][0]},{page[-1][1]}" if more else None, total)

    def read(self, cursor: Cursor, now_ms: int, reading: Reading = READING) -> tuple[list[str], Cursor]:
        """Reads until caught up; a restart between any two pages changes nothing."""
        handed: list[str] = []
        while isinstance(call := next_call(cursor, now_ms, reading), Call):
            step = after_answer(self.log_type, call, self.serve(call), reading)
            handed += [json.loads(r)["activity_id"] for r in step.rows]
            cursor = Cursor.from_json(step.cursor.to_json())
        return handed, cursor
