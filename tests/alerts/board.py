"""The committed dashboard, as a test looks at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.alerts.promtool import RULES

FILE = RULES.with_name("dashboard.json")
_CHOSEN = {"$__rate_interval": "1m", "$instance": ".*", "$account": ".*", "$log_type": ".*", "$destination": ".*"}


class Query(NamedTuple):
    """One query of a panel, with all variables at their defaults."""

    panel: str
    expr: str


def load() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def queries(rate_interval: str = "1m") -> Iterator[Query]:
    for panel in load()["panels"]:
        for target in panel.get("targets", []):
            yield Query(panel["title"], with_defaults(target["expr"], rate_interval))


def with_defaults(expr: str, rate_interval: str = "1m") -> str:
    """An expression as Grafana asks it where nothing was chosen."""
    for name, value in {**_CHOSEN, "$__rate_interval": rate_interval}.items():
        expr = expr.replace(name, value)
    return expr
