"""What can be asked of a running program, and what is answered.

Place in the flow: between ``server`` and ``observe``; the supervisor puts the three together.

    /             the page                                 200
    /status.json  the report (``pipelines.monitoring.report``)    200
    /metrics      for Prometheus                           200
    /healthz      does the program work                    200, or 503 with the reasons: only a new start would help
    /tap          events as they pass, for who has the key  200, without an end of its own
    /readyz       does everything that is configured work  200, or 503 with the reasons
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from pipelines.monitoring import tapping
from pipelines.monitoring.exchange import Answer, Request
from pipelines.monitoring.observe import Observer
from pipelines.monitoring.page import page
from pipelines.monitoring.server import Route

_JSON = "application/json"


def routes(observer: Observer, key: str) -> Mapping[str, Route]:
    """All of them. ``key``: whoever shows it may see events."""
    return {
        "/": Route(_page),
        "/status.json": Route(lambda _: Answer(HTTPStatus.OK, _JSON, msgspec.json.encode(observer.report()))),
        "/metrics": Route(lambda request: _metrics(observer, request.header("Accept"))),
        "/healthz": Route(lambda _: _checked(observer.ailing()), open_status=True),
        tapping.PATH: Route(tapping.Tapping(key).answer, streams=True),
        "/readyz": Route(lambda _: _checked(observer.report().not_ready), open_status=True),
    }


def _page(_: Request) -> Answer:
    content, policy = page()
    return Answer(HTTPStatus.OK, "text/html; charset=utf-8", content, policy=policy)


def _metrics(observer: Observer, accept: str) -> Answer:
    # Only who asks for them loads prometheus_client.
    from pipelines.monitoring.prometheus import exposition

    content, content_type = exposition(observer.report(), accept)
    return Answer(HTTPStatus.OK, content_type, content)


def _checked(reasons: tuple[str, ...]) -> Answer:
    status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return Answer(status, _JSON, msgspec.json.encode({"ok": not reasons, "why_not": reasons}))
