"""Formats: how an event becomes the bytes of one message.

Place in the flow: events → **format** → destination. A format knows nothing of transports and framing, and no format knows
another. A new one is one module with its ``FormatOptions`` and a ``make(settings.Format) -> Formatter``, one golden folder and
one line in ``FORMATS``; a program of its own calls ``register`` instead, before it reads a configuration. What the
configuration file accepts, its schema and its sample follow from there. Nothing of Beam is loaded here.

Contract of a formatter: ``format(event)`` returns the message without a trailing line break, as UTF-8, free of CR, LF and NUL,
whatever the row holds; it raises ``Undeliverable`` (never anything else) for a row that it cannot write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from transforms.errors import Undeliverable
from transforms.formats import cef, json_lines
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions

if TYPE_CHECKING:
    from transforms.formats.apply import FormatEvents

__all__ = ["FORMATS", "FormatEvents", "FormatKind", "Formatter", "format_failed", "make_formatter", "register"]


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
    )
}


def register(kind: FormatKind) -> None:
    """Adds a format from outside. Call it before ``pipelines.config`` is imported, in every process."""
    FORMATS[kind.name] = kind


def make_formatter(settings: Format) -> Formatter:
    """What writes events in a format."""
    return FORMATS[settings.name].make(settings)


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load: the configuration needs the names and settings of the formats.
    if name == "FormatEvents":
        from transforms.formats.apply import FormatEvents

        return FormatEvents
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
