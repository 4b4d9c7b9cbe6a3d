"""Says in words what Beam logs with a traceback, where it is no bug, and marks what is not ours.

Place: a filter of the log's handlers (``pipelines.logs``).

Why: Beam logs every error of a step at ERROR with its traceback, and has no way to be told which are raised on purpose. What
follows from those is said by whoever decides that.

Contract: a filter that lets every record pass.
"""

from __future__ import annotations

import logging

from transforms.errors import DuoLogSyncError
from transforms.notices import program
from transforms.notices.notice import code_of


def in_words(record: logging.LogRecord) -> bool:
    """Takes the traceback and the level ERROR from what Beam says about an error of ours, and gives its lines our code."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name.startswith("apache_beam") and isinstance(error, DuoLogSyncError):
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    if record.levelno >= logging.WARNING and not code_of(record):
        record.code = program.LIBRARY.code
    return True
