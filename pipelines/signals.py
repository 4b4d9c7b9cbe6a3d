"""The signals that a program which runs for long gets beside those that ask it to end.

Place in the flow: the commands that read or send run within ``undisturbed()``, from before Beam is loaded. What asks to end,
SIGINT and SIGTERM, is for ``pipelines.local.supervisor``.

Contract: SIGHUP, SIGUSR1 and SIGUSR2 end nothing, whatever they ended before: a dropped ssh session hangs up, logrotate and
habits send the others. SIGHUP opens the log file again. The configuration is read at the start only, and the log says so.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from pipelines.logs import open_log_file_again

_LOGGER = logging.getLogger("duologsync.program")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """See the module. Does nothing outside of the main thread, where no handlers may be set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {signal.SIGHUP: _hang_up, signal.SIGUSR1: _ignore, signal.SIGUSR2: _ignore}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)


def _hang_up(_number: int, _frame: FrameType | None) -> None:
    done = "the log file is opened again" if open_log_file_again() else "there is no log file that could be opened again"
    _LOGGER.info("SIGHUP: %s. The configuration is read at the start only: restart to change it.", done)


def _ignore(number: int, _frame: FrameType | None) -> None:
    _LOGGER.info("%s means nothing here; all goes on.", signal.Signals(number).name)
