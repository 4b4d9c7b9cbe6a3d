"""What makes one Duo log differ from another, as one value.

A log type says how it is asked for (path, parameters), where its rows and its cursor are in the answer, what identifies a row,
and what a row says (``EventFacts``). Everything else about reading Duo is the same for all and lives in ``transforms.duo``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.duo.log_types import row_values
from transforms.duo.log_types.row_fields import NONE, RowFields
from transforms.duo.log_types.row_values import RowValues
from transforms.facts import EventFacts
from transforms.records import DuoEvent


class RowKey(NamedTuple):
    """When a row happened (milliseconds since the epoch, truncated) and Duo's id of it; None where the row does not say.

    Only what Duo itself tells rows apart by may be the id: of rows with one, two that are alike in everything are one event; of
    rows without one they are two (``transforms.duo.position.deduplication``).
    """

    time_ms: int | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class LogType:
    """One kind of Duo log.

    Attributes:
      name: as users write it in their configuration.
      path: the endpoint, always GET.
      rows_key: the key of the list of rows inside ``response``; "" where the response is the list itself.
      page_limit: rows asked for per call, the most that Duo gives.
      cursor_param: the request parameter that takes ``metadata.next_offset`` back.
      sort: value of the ``sort`` parameter; None where the endpoint has none.
      pages_by_time: the endpoint knows mintime in seconds and nothing else: no maxtime, limit or cursor (API v1).
      ascending: rows come oldest first; without it every row of a window must be looked at to find its newest.
      row_key: time and id of a raw row; never raises, whatever the bytes are.
      facts: what the row says. Raises Undeliverable where the row is not a JSON object.
      ends_on: the day on which Duo has announced to end the endpoint.
      opt_in: read only where a route names it; configurations without routes leave it out.
      also_in: the log that has the same events under other ids, so that reading both means to receive them twice.
      row_fields: the fields that Duo documents; filters and redactions are checked against them. Empty: not checked.
      row_values: the values that are known of fields that have one of a few; others are told as new.
      id_field: the field of a row that has Duo's id of it; None where rows have none.
    """

    name: str
    path: str
    rows_key: str
    page_limit: int
    cursor_param: str
    sort: str | None
    ascending: bool
    row_key: Callable[[bytes], RowKey]
    facts: Callable[[DuoEvent], EventFacts]
    ends_on: dt.date | None = None
    pages_by_time: bool = False
    opt_in: bool = False
    also_in: str | None = None
    row_fields: RowFields = field(default_factory=lambda: NONE)
    id_field: str | None = None
    row_values: RowValues = field(default_factory=lambda: row_values.NONE)

    def last_time_ms(self, rows: list[bytes]) -> int:
        """The time of the last row that has one; 0 where none has."""
        return next((key.time_ms for row in reversed(rows) if (key := self.row_key(row)).time_ms is not None), 0)
