"""Logging of the program's own life (never of events): readable lines on a terminal, one JSON object per line elsewhere.

Contract: ``set_up`` configures the root logger once, at the start of a command. A log file is rotated (10 MB, 5 old ones,
mode 600), and nothing that somebody else put in its place is written to (``transforms.process.files``). Whatever a message
holds, it makes one line, commands no terminal, and is written in any encoding. A log that cannot be written stops nothing
and ends in no traceback: the log file's trouble is told on stderr once a minute.

Beam's own chatter below WARNING is left out; a repeated identical Beam warning is not ours to hide. Errors that we raise on
purpose are warnings in words where Beam logs them (``pipelines.beam_internals.log_records``).
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from typing_extensions import override

from pipelines.beam_internals.log_records import in_words
from pipelines.printable import printable, printable_lines
from transforms.process.files import open_own
from transforms.process.log_once import REMIND_SECS, LogOnce

_LOGGER = logging.getLogger("duologsync.program")
_FILE_BYTES = 10_000_000
_FILES = 5
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")


class JsonLines(logging.Formatter):
    """One JSON object per record: time (UTC), level, logger, message, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False)
        return text if text.isprintable() else _BEYOND_ASCII.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    return character if character.isprintable() else json.dumps(character)[1:-1]


class TerminalLines(logging.Formatter):
    """A line per record; a traceback is set in, so that no line of it looks like a record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.message = printable(record.getMessage())
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        if record.exc_info:
            traceback = printable_lines(self.formatException(record.exc_info))
            line += "".join(f"\n    {each}" for each in traceback.split("\n"))
        return line


class _Stderr(logging.StreamHandler[Any]):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: where stderr cannot be written to, there is nobody to tell, and a traceback would go the same way."""


class _OwnerOnlyFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner may read: messages name accounts, hosts and files."""

    def __init__(self, path: str) -> None:
        self._tried_at = float("-inf")
        self._trouble = LogOnce(REMIND_SECS)
        super().__init__(path, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> Any:
        descriptor = open_own(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding, errors=self.errors)

    @override
    def shouldRollover(self, record: logging.LogRecord) -> int:
        return super().shouldRollover(record) if time.monotonic() - self._tried_at >= REMIND_SECS else 0

    @override
    def doRollover(self) -> None:
        """Where the files cannot be moved on, this one grows for another minute: a record is worth more than the limit."""
        try:
            super().doRollover()
        except OSError as error:
            self._tried_at = time.monotonic()
            self._tell(error)

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        self._tell(sys.exc_info()[1])

    def _tell(self, error: BaseException | None) -> None:
        if self._trouble.due() is not None:  # what is said now comes here as well
            cause = getattr(error, "strerror", None) or error
            _LOGGER.error("The log file %s cannot be written as it should be: %s.", self.baseFilename, cause)


def set_up(*, verbose: bool = False, log_file: str | None = None) -> None:
    """Sends records to stderr, and to a file where one is wanted. Raises OSError where the file cannot be opened."""
    handlers: list[logging.Handler] = [_Stderr(sys.stderr)]
    handlers[0].setFormatter(TerminalLines() if sys.stderr.isatty() else JsonLines())
    if log_file is not None:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        file_handler = _OwnerOnlyFile(log_file)
        file_handler.setFormatter(JsonLines())
        handlers.append(file_handler)
    for handler in handlers:
        handler.addFilter(in_words)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=handlers, force=True)
    for name in ("apache_beam", "root_beam", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
