"""How many lines the program's log has had, by level and code.

Place in the flow: a handler at the root logger while a run can be asked for its metrics. Contract: counts what the log shows,
from INFO on; writes nothing and takes no lock but that of ``METRICS``, so that a signal's handler may log.
"""

from __future__ import annotations

import logging

from transforms.metrics.catalog import LOG_MESSAGES
from transforms.metrics.registry import METRICS
from transforms.notices.notice import code_of


class LogCounts(logging.Handler):
    """Counts while it is attached."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)

    def attach(self) -> None:
        """From now on lines are counted."""
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """No more lines are counted."""
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        METRICS.add(LOG_MESSAGES, (record.levelname.lower(), code_of(record)))
