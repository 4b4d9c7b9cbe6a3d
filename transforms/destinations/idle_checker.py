"""Looks after idle connections where nobody else does: on streaming runners, from one thread per process.

Place in the flow: the sink starts it on its worker. Local runs look after each stream's connections themselves, between passes.

Why: what a SIEM's kernel acknowledged is not yet read. If the SIEM then crashes, the sender sends it again, but only when it
looks; the next bundle of a quiet log may be hours away, and the worker may have ended by then. What was seen to be read is
written into the checkpoints here, too. And where the process ends by itself, as one with a pipeline of the user's own does, its
connections are closed in good order: the next launch would else send much of it again.
"""

from __future__ import annotations

import atexit
import logging
import threading
from functools import partial

from transforms.destinations import pool
from transforms.destinations.ending import close_destinations
from transforms.errors import DuoLogSyncError
from transforms.notices import destinations, program, state
from transforms.notices.notice import tell
from transforms.process.lifetime import Stage, per_process
from transforms.process.log_once import REMIND_SECS, LogOnce
from transforms.process.shutdown import STOP
from transforms.process.threads import NO_THREAD, started
from transforms.state.dead_letters.write import keep_unread
from transforms.state.receipts import RECEIPTS

_LOGGER = logging.getLogger("duologsync.destinations")
_EVERY_SECS = 5.0

_LONGEST_ROUND_SECS = 5.0


class _IdleChecker:
    """The thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threadless = LogOnce(REMIND_SECS)
        self.thread: threading.Thread | None = None

    def need(self, dead_letter_dir: str) -> bool:
        """The thread must be at work; False where none can be had now."""
        with self._lock:
            if self.thread is None or not self.thread.is_alive():
                self.thread = started(_run, "connections", dead_letter_dir)
            return self.thread is not None

    def tell_of_missing_thread(self) -> None:
        """Every bundle finds out; one line a minute is enough."""
        if self._threadless.due() is not None:
            tell(
                _LOGGER, program.NO_THREAD, "Idle connections are not looked after: %s. The next bundle tries again.", NO_THREAD
            )

    def join(self) -> None:
        """Waits until the thread has ended, once ``STOP`` was requested."""
        if self.thread is not None:
            self.thread.join(_LONGEST_ROUND_SECS)


IDLE_CHECKER = per_process("idle checker", _IdleChecker, close=_IdleChecker.join, stage=Stage.THREADS)


def check_idle_connections(dead_letter_dir: str) -> None:
    """Starts the process's one thread; does nothing where it runs. It ends when the program is asked to end.

    Args:
      dead_letter_dir: where is kept what may be unread and is not sent again.
    """
    atexit.unregister(close_destinations)  # once, however often this is called
    atexit.register(close_destinations)
    if not IDLE_CHECKER.need(dead_letter_dir):
        IDLE_CHECKER.tell_of_missing_thread()


def _run(dead_letter_dir: str) -> None:
    trouble, bug = LogOnce(), LogOnce(REMIND_SECS)
    while not STOP.wait(_EVERY_SECS):
        try:
            pool.check_all()
            pool.keep_given_up(partial(keep_unread, dead_letter_dir))
            _keep_safe(trouble)
        except Exception:  # one connection's trouble must not leave all others without care
            if bug.due() is not None:
                text = "An idle connection could not be looked after.%s"
                tell(_LOGGER, destinations.IDLE_CHECK_FAILED, text, bug.more(), exc_info=True)


def _keep_safe(trouble: LogOnce) -> None:
    """Writes what has become safe into the checkpoints."""
    try:
        RECEIPTS.keep_safe()
        trouble.over()
    except (OSError, DuoLogSyncError) as error:
        if trouble.due(str(error)) is not None:
            tell(
                _LOGGER,
                state.CHECKPOINT_NOT_WRITTEN,
                "The checkpoints cannot be brought up to date: %s. A launch without others repeats some events.",
                error,
            )
