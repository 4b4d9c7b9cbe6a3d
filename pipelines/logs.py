"""Logging of the program's own life (never of events): readable lines on a terminal, one JSON object per line elsewhere.

Contract: ``set_up`` configures the root logger once, at the start of a command. A log file is rotated (10 MB, 5 old ones,
mode 600). Beam's own chatter below WARNING is left out; a repeated identical Beam warning is not ours to hide. Beam logs every
error of a step with its traceback; where the error is one that we raise on purpose (``transforms.errors``), it is a warning in
words: what follows from it is said by whoever decides that.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
import time
from pathlib import Path
from typing import Any

from transforms.errors import DuoLogSyncError

_FILE_BYTES = 10_000_000
_FILES = 5


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
        return json.dumps(line, ensure_ascii=False)


class _OwnerOnlyFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner may read: messages name accounts, hosts and files."""

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding)


def _in_words(record: logging.LogRecord) -> bool:
    """A filter that lets all pass, and takes the traceback from errors that are no bugs."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name.startswith("apache_beam") and isinstance(error, DuoLogSyncError):
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def set_up(*, verbose: bool = False, log_file: str | None = None) -> None:
    """Sends records to stderr, and to a file where one is wanted. Raises OSError where the file cannot be opened."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    handlers[0].setFormatter(_terminal_format() if sys.stderr.isatty() else JsonLines())
    if log_file is not None:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        file_handler = _OwnerOnlyFile(log_file, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8")
        file_handler.setFormatter(JsonLines())
        handlers.append(file_handler)
    for handler in handlers:
        handler.addFilter(_in_words)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=handlers, force=True)
    for name in ("apache_beam", "root_beam", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _terminal_format() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
