"""What becomes of the lines that Beam logs where a step fails, and of those of other libraries.

Place: a filter of the log's handlers (``pipelines.logs``).

Why: Beam logs every error of a step at ERROR with its traceback and its text, and has no way to be told which are raised on
purpose. Those are said once, with what follows from them, by whoever decides that; a line for each bundle beside it would fill
the log. Of a bug the text may quote an event.

Contract: errors that are raised on purpose come through with DEBUG only. The text of others is shown with DEBUG only; their
kind and traceback always are. What is not ours and warns has a code, too.
"""

from __future__ import annotations

import logging

from transforms.errors import DuoLogSyncError
from transforms.notices import program
from transforms.notices.notice import code_of


def in_words(record: logging.LogRecord) -> bool:
    """Whether a record is shown; changes it as the module says."""
    error = record.exc_info[1] if record.exc_info else None
    details = logging.getLogger().isEnabledFor(logging.DEBUG)
    if record.name.startswith("apache_beam") and error is not None and not details:
        if isinstance(error, DuoLogSyncError):
            return False
        record.msg, record.args = "A step failed by an error that nobody expected: %s.", (type(error).__name__,)
    if record.levelno >= logging.WARNING and not code_of(record):
        record.code = program.LIBRARY.code
    return True
