"""What a record of the log looks like: as JSON, on a terminal, in systemd's journal. Rendered by structlog.

Place in the flow: ``pipelines.logs`` gives each handler one of these formatters. Records come from the standard library's
logging, ours with the code of a notice and what they are about (``transforms.notices``).

Contract: whatever a message holds, it makes one line, with no character that commands a terminal; only a traceback takes more
lines, each of them set in (terminal) or with a priority of its own (journal). A notice's line says what to do and where its
entry in the runbook is.

A traceback shows where an error arose and of which kind it is, and what it says only with ``texts``: that may quote an event.

structlog is loaded when a formatter is made, so that commands that log nothing do not pay for it: 10 ms and 0.3 MB, because
rich, which it would load to paint tracebacks (40 ms and 3.4 MB more), is hidden from it. Formatters are made before there are
other threads, which could miss rich meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from pipelines.printable import printable, printable_lines
from transforms.errors import DuoLogSyncError
from transforms.notices import CATALOG
from transforms.notices.notice import RUNBOOK, about_of, code_of, without_code

if TYPE_CHECKING:
    from structlog.typing import ExcInfo

_LONGEST_CHAIN = 10
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")
_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_Event = MutableMapping[str, Any]


class _Lines(logging.Formatter):
    """Hands records to structlog."""

    def __init__(self, runbook: str = RUNBOOK, *, texts: bool = False) -> None:
        super().__init__()
        self._runbook = runbook
        self._texts = texts
        with _without_rich():
            from structlog.processors import ExceptionRenderer
            from structlog.stdlib import ProcessorFormatter  # see the module
        self._structlog = ProcessorFormatter(processors=[ExceptionRenderer(self._traceback), self._facts, self._render])

    @override
    def format(self, record: logging.LogRecord) -> str:
        return self._structlog.format(record)

    def _traceback(self, exc_info: ExcInfo) -> str:
        kind, error, frames = exc_info
        return "".join(traceback.format_exception(kind, error, frames)).rstrip() if self._texts else without_texts(error)

    def _facts(self, _logger: object, _method: str, event: _Event) -> _Event:
        """What is known of a record, in the order in which JSON shows it."""
        record: logging.LogRecord = event["_record"]
        code = code_of(record)
        known: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "code": code,
            "message": without_code(event["event"], code),
            **about_of(record),
        }
        if notice := CATALOG.get(code):
            known |= {"fix": notice.fix, "runbook": f"{self._runbook}#{notice.anchor}"}
        known["traceback"] = event.get("exception")
        return {key: value for key, value in known.items() if value or key == "message"} | {"_record": record}

    def _render(self, logger: object, method: str, event: _Event) -> str:
        raise NotImplementedError


class JsonLines(_Lines):
    """One JSON object per record: time (UTC), level, logger, message; of a notice its code, what it is about, what to do, and
    where its entry is; the traceback where there is one.
    """

    @override
    def _render(self, logger: object, method: str, event: _Event) -> str:
        del event["_record"]
        text = json.dumps(event, ensure_ascii=False)
        return text if text.isprintable() else _BEYOND_ASCII.sub(_escaped, text)


class TerminalLines(_Lines):
    """A line per record; a traceback is set in, so that no line of it looks like a record."""

    @override
    def _render(self, logger: object, method: str, event: _Event) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(event["_record"].created))
        line = f"{clock} {event['level']:<7} {_told(event)}"
        return "".join((line, *(f"\n    {each}" for each in _lines_of(event))))


class JournalLines(_Lines):
    """The same with systemd's priority in front of each line, and without the time, which the journal has."""

    @override
    def _render(self, logger: object, method: str, event: _Event) -> str:
        priority = _PRIORITIES.get(event["_record"].levelno, 6)
        return "\n".join(f"<{priority}>{line}" for line in (_told(event), *_lines_of(event)))


def _told(event: _Event) -> str:
    """The text of a record; of a notice also its code, what to do, and where to read more."""
    text = printable(event.get("message", ""))
    return f"{text} [{event['code']}] {event['fix']} ({event['runbook']})" if "fix" in event else text


def _lines_of(event: _Event) -> list[str]:
    return printable_lines(event["traceback"]).split("\n") if "traceback" in event else []


def without_texts(error: BaseException | None) -> str:
    """A traceback as Python writes it, the cause first, without what the errors say unless they are ours or the system's."""
    parts: list[str] = []
    while error is not None and len(parts) < _LONGEST_CHAIN:
        said = f": {error}" if isinstance(error, (DuoLogSyncError, OSError)) else " (--verbose shows what it says)"
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(error).__qualname__}{said}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n".join(reversed(parts))


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return character if character.isprintable() else json.dumps(character)[1:-1]


@contextlib.contextmanager
def _without_rich() -> Iterator[None]:
    """Hides rich from what is imported, unless it is loaded anyway."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment] # how an import is made to fail
    try:
        yield
    finally:
        del sys.modules["rich"]
