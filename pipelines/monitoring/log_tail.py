"""The last lines of the program's log, for whoever looks at the page or at ``status``.

Place in the flow: a handler beside those that ``pipelines.logs`` has set up; ``observe`` puts its lines into the report.

Contract: what it has is what the log has, and nothing more: no record below INFO, one printable line each, cut where it is very
long, the newest ``LINES``. A traceback is left to the log.
"""

from __future__ import annotations

import logging
from collections import deque

from pipelines.beam_internals.log_records import in_words
from pipelines.monitoring.report import LogLine
from pipelines.printable import printable
from transforms.notices.notice import code_of, without_code

LINES = 200
_LONGEST = 1000


class LogTail(logging.Handler):
    """Keeps the newest lines while it is attached."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[LogLine] = deque(maxlen=LINES)
        self.addFilter(in_words)

    def attach(self) -> None:
        """From now on lines are kept."""
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """No more lines are kept; those that there are stay."""
        logging.getLogger().removeHandler(self)

    def lines(self) -> tuple[LogLine, ...]:
        """The newest last."""
        self.acquire()
        try:
            return tuple(self._lines)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = printable(record.getMessage())
        except Exception:  # a record whose arguments do not fit: the log tells it
            return
        code = code_of(record)
        message = without_code(message, code)  # it stands beside it
        if len(message) > _LONGEST:
            message = f"{message[:_LONGEST]}…"
        self._lines.append(LogLine(int(record.created * 1000), record.levelname, code, message))
