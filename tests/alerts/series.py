"""What a program that is watched would expose, as input of ``promtool test rules``.

Contract: only names and labels of the catalog can be written; the labels of a stream need not be. Values are in promtool's
notation, one per minute: ``0+60x30`` is 31 values, each 60 more than the one before it, ``_x5`` are five without a value.
"""

from __future__ import annotations

from transforms.metrics.catalog import CATALOG

PROGRAM = {"job": "duologsync", "instance": "host:9437"}
_USUAL = {"account": "main", "log_type": "auth", "destination": "siem"}
_OF_PROMETHEUS = {"up": ()}


def labels_of(name: str) -> tuple[str, ...]:
    """The labels that a series has by the catalog; a histogram's parts have its own."""
    if name in _OF_PROMETHEUS:
        return _OF_PROMETHEUS[name]
    if name.endswith("_bucket"):
        return (*CATALOG[name.removesuffix("_bucket")].labels, "le")
    return CATALOG[name].labels


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """One series of the program."""
    told = {label: labels.pop(label, _USUAL.get(label, "")) for label in labels_of(name)}
    place = {label: labels.pop(label, value) for label, value in PROGRAM.items()}
    assert not labels, f"{name} has no labels {sorted(labels)}"
    text = ",".join(f'{label}="{value}"' for label, value in {**place, **told}.items())
    return {"series": f"{name}{{{text}}}", "values": values}


def program(*more: dict[str, str], up: str = "1x600", started: str = "-86400x600") -> list[dict[str, str]]:
    """A program that has run for a day, or as ``up`` and ``started`` say, and what else it exposes."""
    return [
        series("up", up),
        series("duologsync_start_time_seconds", started),
        series("duologsync_build_info", "1x600", version="1", python="3", beam="2"),
        *more,
    ]
