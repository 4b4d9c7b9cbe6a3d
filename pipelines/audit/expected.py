"""What a destination should have of an event, as the configuration says now: the routes' filter, redaction and function, and
the format, applied again.

Place in the flow: the auditor asks for every row that Duo serves.
Contract: nothing is sent. What comes out is known by its keys only, so that it needs little memory.
"""

from __future__ import annotations

from typing import NamedTuple

from transforms.destinations.stored.keys import Keys
from transforms.duo.log_types import LOG_TYPES
from transforms.errors import Undeliverable
from transforms.events.selection import Failed, Selection
from transforms.formats import format_failed, make_formatter
from transforms.records import DuoEvent, Stream
from transforms.settings import Destination, Job


class Made(NamedTuple):
    """A message that is made of an event.

    Attributes:
      key: by which the destination shows it. row_key: by which its dead letter is known.
      reason: why it cannot be made; then it should be a dead letter.
    """

    key: str
    row_key: str
    reason: str = ""


class Expected:
    """For one stream and destination.

    Args:
      of_rows: the destination shows rows, not messages.
    """

    def __init__(self, job: Job, stream: Stream, destination: Destination, *, of_rows: bool) -> None:
        log_type = LOG_TYPES[stream.log_type]
        routes = job.selection(stream.log_type, destination.name)
        self._selection = Selection(routes, stream) if routes else None
        self._formatter = make_formatter(destination.format)
        self._stream = stream
        self._keys = Keys(log_type.id_field)
        self._of_rows = of_rows

    def of(self, row: bytes) -> list[Made]:
        """What becomes of a row; nothing where it is filtered."""
        if self._selection is None:
            return [self._made(row)]
        changed = self._selection.rows_of(row)
        if isinstance(changed, Failed):
            key = self._keys.of_text(changed.row or row)
            return [Made(key, key, changed.error.reason)]
        return [self._made(each) for each in changed]

    def _made(self, row: bytes) -> Made:
        row_key = self._keys.of_text(row)
        try:
            message = self._formatter.format(DuoEvent(self._stream, row))
        except Undeliverable as error:
            return Made(row_key, row_key, error.reason)
        except Exception as error:  # as in the pipeline: a bug of a format is a dead letter
            return Made(row_key, row_key, format_failed(error).reason)
        key = row_key if self._of_rows else self._keys.of_text(message)
        return Made(row_key if key == row_key else key, row_key)  # one text for both: there are many of them
