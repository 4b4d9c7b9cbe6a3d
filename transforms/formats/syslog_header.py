"""Syslog headers: RFC 5424, RFC 3164, and what Duo Log Sync wrote.

Place in the flow: a format asks for one with ``make`` when it is made, and calls it once per event.

Contract: a header is printable ASCII that ends where the message begins; its time is the event's, in UTC, or now where the
row has none that can be written (years 1970 to 9999). Except to ``dls``, the locale and the time zone of the host never matter.
No byte order mark is written: receivers keep it in the message, and parsers that look for ``CEF:`` or ``{`` at the start fail.

    RFC 5424    <134>1 2023-11-14T22:13:20.123Z HOST APP - MSGID - MESSAGE        MSGID is the log type
    RFC 3164    <134>Nov 14 22:13:20 HOST APP: MESSAGE                            for JSON
                <134>Nov 14 22:13:20 HOST CEF:0|…                                 for CEF, the style of its specification

    dls         Nov 14 22:13:20 HOST CEF:0|…                                      as Duo Log Sync had it

``{log_type}`` in the program's name (``app_name: duo-{log_type}``) is the event's log, so that whatever selects by program can
tell the logs apart: rsyslog's ``$programname``, syslog-ng's ``program()``, a source type of Splunk.

RFC 3164 has neither year nor zone: set the receiver's zone for this source to UTC, or let it read the time in the message. A
receiver takes the year in which it gets the message: an event of last September is filed under the next one. Duo Log Sync said
when it *sent* a message, in its machine's own time, and no priority; ``dls`` is for configuration files of its, whose receivers
have been set up for that.
"""

from __future__ import annotations

import datetime as dt
import re
import socket
import time
from collections.abc import Callable
from typing import Protocol

from transforms.facts import EventFacts
from transforms.settings import SyslogHeader

INFORMATIONAL = 6
LOG_TYPE = "{log_type}"
"""In a program's name: the log of the event."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LONGEST_HOSTNAME = 255
_LONGEST_APP_NAME = 48
_LONGEST_TAG = 32
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_NOT_IN_TAG = re.compile(r"[^A-Za-z0-9_-]")

# By an event's severity of 0 to 10: informational, notice, warning, error, critical.
_SEVERITIES = (6, 6, 6, 6, 5, 5, 4, 4, 3, 2, 2)
_WARNING = 4
_NOTICE = 5
_END_MS = 253_402_300_800_000  # the year 10000


class HeaderWriter(Protocol):
    """Writes the header of one message."""

    def __call__(self, time_ms: int | None, severity: int, log_type: str) -> str:
        """The header, up to the first character of the message. ``severity`` is syslog's, 0 to 7."""
        ...


def syslog_severity(facts: EventFacts) -> int:
    """An event's severity in syslog's words; a refused log-in is a warning where a successful bypass is a notice."""
    severity = _SEVERITIES[facts.severity]
    return _WARNING if severity == _NOTICE and facts.outcome == "failure" else severity


def now_ms() -> int:
    """The present, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def make(header: SyslogHeader, *, tagged: bool, clock_ms: Callable[[], int] = now_ms) -> HeaderWriter:
    """A writer of the chosen style.

    Args:
      header: what the user chose.
      tagged: RFC 3164 only: the message needs a ``TAG:`` in front; CEF does not, its ``CEF:`` is taken for one.
      clock_ms: what time it is, for rows without a time.
    """
    if header.style == "rfc5424":
        return _Rfc5424(header, clock_ms)
    if header.style == "rfc3164":
        return _Rfc3164(header, tagged, clock_ms)
    if header.style == "dls":
        return _DuoLogSync(header, clock_ms)
    raise ValueError(f"Unknown syslog header style {header.style!r}: use rfc5424 or rfc3164.")


class _Rfc5424:
    def __init__(self, header: SyslogHeader, clock_ms: Callable[[], int]) -> None:
        self._priorities = _priorities(header.facility, "1 ")
        host = _printable(header.hostname or socket.gethostname())[:_LONGEST_HOSTNAME] or "-"
        self._names = _ByLogType(header.app_name, lambda app_name: f"Z {host} {_app_name(app_name)} - ")
        self._clock_ms = clock_ms
        self._last = (-1, "")

    def __call__(self, time_ms: int | None, severity: int, log_type: str) -> str:
        second, ms = divmod(_writable_ms(time_ms, self._clock_ms), 1000)
        # Events come in the order of their time, many in one second: its text is kept.
        last, text = self._last
        if second != last:
            text = _utc(second).isoformat()[:19]
            self._last = (second, text)
        return f"{self._priorities[severity]}{text}.{ms:03d}{self._names[log_type]}{log_type} - "


class _Rfc3164:
    def __init__(self, header: SyslogHeader, tagged: bool, clock_ms: Callable[[], int]) -> None:
        self._priorities = _priorities(header.facility, "")
        # The RFC wants no domain. A name that was configured stays as it is: it may be an address.
        host = _printable(header.hostname or socket.gethostname().partition(".")[0])[:_LONGEST_HOSTNAME] or "localhost"
        self._names = _ByLogType(header.app_name, lambda app_name: f" {host} {_tag(app_name)}: " if tagged else f" {host} ")
        self._clock_ms = clock_ms
        self._last = (-1, "")

    def __call__(self, time_ms: int | None, severity: int, log_type: str) -> str:
        minute, second = divmod(_writable_ms(time_ms, self._clock_ms) // 1000, 60)
        last, text = self._last
        if minute != last:
            at = _utc(60 * minute)
            text = f"{_MONTHS[at.month - 1]} {at.day:2d} {at.isoformat()[11:17]}"
            self._last = (minute, text)
        return f"{self._priorities[severity]}{text}{second:02d}{self._names[log_type]}"


class _DuoLogSync:
    def __init__(self, header: SyslogHeader, clock_ms: Callable[[], int]) -> None:
        self._host = _printable(header.hostname or socket.gethostname())[:_LONGEST_HOSTNAME] or "localhost"
        self._clock_ms = clock_ms

    def __call__(self, time_ms: int | None, severity: int, log_type: str) -> str:  # noqa: ARG002 # it said none of them
        now = dt.datetime.fromtimestamp(_writable_ms(None, self._clock_ms) // 1000)  # noqa: DTZ006 # the machine's own time
        return f"{_MONTHS[now.month - 1]} {now.day:02d} {now:%H:%M:%S} {self._host} "


class _ByLogType(dict[str, str]):
    """The part of a header that names host and program, which may be named by the log: made once for each."""

    def __init__(self, app_name: str, names: Callable[[str], str]) -> None:
        super().__init__()
        self._app_name = app_name
        self._make = names

    def __missing__(self, log_type: str) -> str:
        self[log_type] = names = self._make(self._app_name.replace(LOG_TYPE, log_type))
        return names


def _app_name(text: str) -> str:
    return _printable(text)[:_LONGEST_APP_NAME] or "-"


def _tag(text: str) -> str:
    return _NOT_IN_TAG.sub("_", text)[:_LONGEST_TAG] or "duologsync"


def _priorities(facility: int, version: str) -> tuple[str, ...]:
    if not 0 <= facility <= 23:
        raise ValueError(f"Syslog facility {facility} is not between 0 and 23.")
    return tuple(f"<{facility * 8 + severity}>{version}" for severity in range(8))


def _printable(name: str) -> str:
    return _NOT_PRINTABLE.sub("_", name)


def _writable_ms(time_ms: int | None, clock_ms: Callable[[], int]) -> int:
    """The event's time, else now; a clock that is out of its mind is taken for the nearest time that can be written."""
    if time_ms is not None and 0 <= time_ms < _END_MS:
        return time_ms
    return min(max(clock_ms(), 0), _END_MS - 1)


def _utc(second: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(second, dt.timezone.utc)
