"""Whether an expression of Prometheus uses names and labels that exist.

Contract: whether it is valid at all, Prometheus itself says in ``test_prometheus``.
"""

from __future__ import annotations

import re

from tests.alerts.series import PROGRAM
from transforms.metrics.catalog import CATALOG

_LABELS = {label for metric in CATALOG.values() for label in metric.labels} | set(PROGRAM) | {"le", "state"}
_OF_PROMETHEUS = {"up", "ALERTS"}
_OF_ALERTS = {"alertname", "alertstate", "severity"}


def strange(expr: str, recorded: set[str]) -> list[str]:
    """What is neither in the catalog, nor recorded by a rule, nor Prometheus's own."""
    return sorted({*_strange_metrics(expr, recorded), *_strange_labels(expr)})


def _base(name: str) -> str:
    return name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") if name not in CATALOG else name


def _strange_metrics(expr: str, recorded: set[str]) -> list[str]:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    names = set(re.findall(r"\b(?:duologsync|process)_\w+|\bduologsync:[\w:]+|\bup\b|\bALERTS\b", bare))
    return [name for name in names if _base(name) not in CATALOG and name not in recorded | _OF_PROMETHEUS]


def _strange_labels(expr: str) -> list[str]:
    wrong = []
    for name, matchers in re.findall(r"([\w:]+)\{([^{}]*)\}", expr):
        labels = re.findall(r'(\w+)(?:=~|!~|!=|=)\\?["%$]', matchers)
        metric = CATALOG.get(_base(name))
        allowed = {*metric.labels, *PROGRAM, "le"} if metric else _LABELS | _OF_ALERTS
        wrong += [f"{name}{{{label}}}" for label in labels if label not in allowed]
    groups = re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^()]*)\)", expr)
    used = [label.strip() for group in groups for label in group.split(",") if label.strip()]
    return wrong + [label for label in used if label not in _LABELS]
