"""Formats: how an event becomes the bytes of one message.

Place in the flow: events → **format** → destination. A format knows nothing of transports and framing, and no format knows
another. A new one is one module with its ``FormatOptions`` and a ``make(settings.Format) -> Formatter``, one golden folder and
one line in ``FORMATS``; a program of its own calls ``register`` instead, before it reads a configuration. What the
configuration file accepts, its schema and its sample follow from there. Nothing of Beam is loaded here.

Contract of a formatter: ``format(event)`` returns the message without a trailing line break, as UTF-8, free of CR, LF and NUL,
whatever the row holds; it raises ``Undeliverable`` (never anything else) for a row that it cannot write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transforms.formats.registry import FORMATS, FormatKind, Formatter, format_failed, make_formatter, register

if TYPE_CHECKING:
    from transforms.formats.apply import FormatEvents

__all__ = ["FORMATS", "FormatEvents", "FormatKind", "Formatter", "format_failed", "make_formatter", "register"]


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load: the configuration needs the names and settings of the formats.
    if name == "FormatEvents":
        from transforms.formats.apply import FormatEvents

        return FormatEvents
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
