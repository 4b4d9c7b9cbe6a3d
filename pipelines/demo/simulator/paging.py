"""Answers a log request: checks its parameters as Duo does, finds the page, and assembles it from ready rows.

Place in the flow: the server calls ``page`` with a checked signature's parameters; rows come from ``store``.
Contract: a cursor names the position behind the last row of its page in the server's order, so thousands of rows in one
millisecond, and rows that arrive while somebody pages, are neither repeated nor left out. Bad parameters raise ``DuoError``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipelines.demo.simulator.answers import Answer, DuoError
from pipelines.demo.simulator.signatures import Params
from pipelines.demo.simulator.store import EventLog

RETENTION_MS = 180 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How one log is asked for and how its answer looks.

    Attributes:
      rows_key: the key of the rows in ``response``. cursor_param: the request parameter that takes the cursor.
      default_limit, max_limit: rows per page.
      list_cursor: the cursor in the answer is a list of two strings, null at the end; else it is one string, absent at the end.
      has_sort: there is a ``sort`` parameter, newest first unless asked otherwise; else oldest first.
      has_total: the answer counts the rows of the whole window.
      by_time: the endpoint is of API v1: it knows ``mintime`` in seconds, which need not be given, and gives the earliest rows
        from that second on, as a bare list.
      withheld: the newest rows are not served yet.
    """

    log_type: str
    path: str
    rows_key: str
    cursor_param: str = "next_offset"
    default_limit: int = 100
    max_limit: int = 1000
    list_cursor: bool = False
    has_sort: bool = True
    has_total: bool = True
    by_time: bool = False
    withheld: bool = True


ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint("auth", "/admin/v2/logs/authentication", "authlogs", list_cursor=True),
        Endpoint("activity", "/admin/v2/logs/activity", "items"),
        Endpoint("telephony", "/admin/v2/logs/telephony", "items"),
        Endpoint(
            "trustmonitor",
            "/admin/v1/trust_monitor/events",
            "events",
            cursor_param="offset",
            max_limit=200,
            has_sort=False,
            has_total=False,
        ),
        Endpoint("admin", "/admin/v1/logs/administrator", "", by_time=True, withheld=False),
        Endpoint("offline_enrollment", "/admin/v1/logs/offline_enrollment", "", by_time=True),
    )
}

_CURSOR = re.compile(r"(\d{13}),([0-9A-Za-z-]+)")
_INTEGER = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Query:
    """The checked parameters of one request."""

    low_ms: int
    high_ms: int
    limit: int
    descending: bool
    after: tuple[int, int] | None


def parse(endpoint: Endpoint, log: EventLog, params: Params, now_ms: int) -> Query:
    """Checks the parameters."""
    values: dict[str, list[str]] = {}
    for name, value in params:
        values.setdefault(name, []).append(value)
    missing = [name for name in ("mintime", "maxtime") if not any(values.get(name, ()))]
    if missing:
        raise DuoError(40001, ", ".join(missing))
    low_ms, high_ms = _window(values, now_ms)
    limit = _integer("limit", values["limit"]) if "limit" in values else endpoint.default_limit
    if not 1 <= limit <= endpoint.max_limit:
        raise DuoError(40002, f"limit must be between 1 and {endpoint.max_limit}")
    descending = False
    if endpoint.has_sort:
        sort = _single("sort", values.get("sort", ["ts:desc"]))
        if sort not in {"ts:asc", "ts:desc"}:
            raise DuoError(40002, "sort must be ts:asc or ts:desc")
        descending = sort == "ts:desc"
    after = _cursor(endpoint.cursor_param, values[endpoint.cursor_param], log) if endpoint.cursor_param in values else None
    return Query(low_ms, high_ms, limit, descending, after)


def _window(values: dict[str, list[str]], now_ms: int) -> tuple[int, int]:
    low_ms, high_ms = _integer("mintime", values["mintime"]), _integer("maxtime", values["maxtime"])
    for name, value in (("mintime", low_ms), ("maxtime", high_ms)):
        # Seconds instead of milliseconds is the commonest mistake; any time since 2001 has 13 digits.
        if 0 < value < 10**12:
            raise DuoError(40002, f"{name} must be a timestamp in milliseconds")
    if low_ms < now_ms - RETENTION_MS:
        raise DuoError(40002, "mintime must be within the last 180 days")
    if low_ms >= high_ms:
        raise DuoError(40002, "mintime must be less than maxtime")
    if high_ms - low_ms > RETENTION_MS:
        raise DuoError(40002, "the time between mintime and maxtime must be less than 180 days")
    return low_ms, high_ms


def _single(name: str, values: list[str]) -> str:
    if len(values) != 1:
        raise DuoError(40002, name)
    return values[0]


def _integer(name: str, values: list[str]) -> int:
    text = _single(name, values)
    if not _INTEGER.fullmatch(text):
        raise DuoError(40002, name)
    return int(text)


def _cursor(name: str, values: list[str], log: EventLog) -> tuple[int, int]:
    # One value "ms,id", or the parameter twice. A signature sorts repeats by value, so which is which is told by their form.
    parts = sorted(values, key=lambda value: not re.fullmatch(r"\d{13}", value))
    match = _CURSOR.fullmatch(",".join(parts)) if len(parts) <= 2 else None
    number = log.number_of(match[2]) if match else None
    if match is None or number is None:
        raise DuoError(40002, name)
    return int(match[1]), number


def page(
    endpoint: Endpoint,
    log: EventLog,
    params: Params,
    *,
    now_ms: int,
    visible_ms: int,
    cursor_on_last_page: bool = False,
    empty: bool = False,
) -> Answer:
    """The answer to one request.

    Args:
      visible_ms: rows that are newer are not served yet, where the endpoint withholds the newest.
      cursor_on_last_page: give a cursor with every page that has rows; the next page is then empty.
      empty: leave out the rows, and the cursor with them, but count them.
    """
    if endpoint.by_time:
        return _page_by_time(endpoint, log, params, now_ms, visible_ms if endpoint.withheld else now_ms)
    query = parse(endpoint, log, params, now_ms)
    found, total, more = log.slice(
        query.low_ms, min(query.high_ms, visible_ms), after=query.after, limit=query.limit, descending=query.descending
    )
    cursor = None
    if empty:
        found = []
    if found and (more or cursor_on_last_page):
        cursor = (found[-1][0], log.event_id(*found[-1]))
    head = b'{"stat":"OK","response":{"%b":[' % endpoint.rows_key.encode()
    tail = b'],"metadata":{%b}}}' % _metadata(endpoint, cursor, total)
    return Answer(200, b"".join((head, b",".join(log.rows(found)), tail)))


def _page_by_time(endpoint: Endpoint, log: EventLog, params: Params, now_ms: int, visible_ms: int) -> Answer:
    # Other parameters than mintime are not looked at.
    given = [value for name, value in params if name == "mintime"]
    low_ms = _integer("mintime", given) * 1000 if given else 0
    found, _, _ = log.slice(
        max(low_ms, now_ms - RETENTION_MS), visible_ms, after=None, limit=endpoint.max_limit, descending=False
    )
    return Answer(200, b"".join((b'{"stat":"OK","response":[', b",".join(log.rows(found)), b"]}")))


def _metadata(endpoint: Endpoint, cursor: tuple[int, str] | None, total: int) -> bytes:
    parts = []
    if cursor is not None:
        form = '"next_offset":["%d","%s"]' if endpoint.list_cursor else '"next_offset":"%d,%s"'
        parts.append(form % cursor)
    elif endpoint.list_cursor:
        parts.append('"next_offset":null')
    if endpoint.has_total:
        parts.append(f'"total_objects":{total}')
    return ",".join(parts).encode()
