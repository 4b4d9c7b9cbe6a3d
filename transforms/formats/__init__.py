"""Formats: how an event becomes the bytes of one message.

Place in the flow: events → **format** → destination. A format knows nothing of transports and framing, and no format knows
another. A new one is one module with a ``make(settings.Format) -> Formatter``, one golden folder and one line in ``FORMATS``.

Contract of a formatter: ``format(event)`` returns the message without a trailing line break, as UTF-8, free of CR, LF and NUL,
whatever the row holds; it raises ``Undeliverable`` (never anything else) for a row that it cannot write.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from transforms.coders import DuoEvent
from transforms.errors import Undeliverable
from transforms.formats.cef import make as make_cef
from transforms.formats.json_lines import make as make_json
from transforms.settings import Format


class Formatter(Protocol):
    """Writes events of one format; made in ``setup()`` on the worker, used by one thread."""

    def format(self, event: DuoEvent) -> bytes:
        """One message. Raises Undeliverable."""
        ...


def format_failed(error: Exception) -> Undeliverable:
    """A formatter's error that is none of those it may raise, as what it makes of its event: a bug here, and a dead letter."""
    return Undeliverable(f"The format failed: {type(error).__name__}.", reason="format_failed")


FORMATS: dict[str, Callable[[Format], Formatter]] = {
    "json": make_json,
    "cef": make_cef,
}
