"""Formats that write what a row says (``EventFacts``) and not the row itself: what they have in common.

Place in the flow: CEF, LEEF, ECS and OCSF make their formatter here, of a function that writes one event.

Contract: see ``transforms.formats``. Refused are events of a log type that this release does not know (``unknown_log_type``)
and rows that are no JSON object (``not_an_object``). A syslog header has the event's time and severity.
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.duo.log_types import LOG_TYPES
from transforms.errors import Undeliverable
from transforms.facts import EventFacts
from transforms.formats import syslog_header
from transforms.records import DuoEvent
from transforms.settings import SyslogHeader

ORIGINAL = "Put Duo's row, as it was sent, into the event, too: event.original of ecs, raw_data of ocsf."
"""What users are told of the key ``original``, which two formats have."""

Write = Callable[[DuoEvent, EventFacts], bytes]
"""One event → its message, without a syslog header."""


class FactsFormatter:
    """Writes events of what they say."""

    def __init__(self, write: Write, header: SyslogHeader | None, *, tagged: bool) -> None:
        """``tagged``: see ``syslog_header.make``."""
        self._write = write
        self._header = None if header is None else syslog_header.make(header, tagged=tagged)

    def format(self, event: DuoEvent) -> bytes:
        name = event.stream.log_type
        log_type = LOG_TYPES.get(name)
        if log_type is None:
            raise Undeliverable(f"There is no log type {name!r}.", reason="unknown_log_type")
        facts = log_type.facts(event)
        message = self._write(event, facts)
        if self._header is None:
            return message
        return self._header(facts.time_ms, syslog_header.syslog_severity(facts), name).encode() + message
