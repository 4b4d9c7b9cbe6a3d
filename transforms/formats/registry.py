"""The formats that there are.

Place in the flow: the configuration makes a section of the file for each; the format step and ``replay`` make formatters by it.

Contract: nothing of Beam is loaded here; the configuration needs the formats and their options.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transforms.errors import Undeliverable
from transforms.formats import cef, ecs, json_lines, leef, ocsf
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions


class Formatter(Protocol):
    """Writes events of one format; made in ``setup()`` on the worker, used by one thread."""

    def format(self, event: DuoEvent) -> bytes:
        """One message. Raises Undeliverable."""
        ...


def format_failed(error: Exception) -> Undeliverable:
    """A formatter's error that is none of those it may raise, as what it makes of its event: a bug here, and a dead letter."""
    return Undeliverable(f"The format failed: {type(error).__name__}.", reason="format_failed")


@dataclass(frozen=True, slots=True)
class FormatKind:
    """One format: what can be chosen of it, and what writes events so."""

    options: type[FormatOptions]
    make: Callable[[Format], Formatter]

    @property
    def name(self) -> str:
        return self.options.name


FORMATS: dict[str, FormatKind] = {
    kind.name: kind
    for kind in (
        FormatKind(json_lines.JsonOptions, json_lines.make),
        FormatKind(cef.CefOptions, cef.make),
        FormatKind(leef.LeefOptions, leef.make),
        FormatKind(ecs.EcsOptions, ecs.make),
        FormatKind(ocsf.OcsfOptions, ocsf.make),
    )
}


def register(kind: FormatKind) -> None:
    """Adds a format from outside. Call it before ``pipelines.config`` is imported, in every process."""
    FORMATS[kind.name] = kind


def make_formatter(settings: Format) -> Formatter:
    """What writes events in a format."""
    return FORMATS[settings.name].make(settings)
