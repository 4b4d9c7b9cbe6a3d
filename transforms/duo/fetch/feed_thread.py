"""The thread of one feed: does its work step by step, and sleeps between two steps.

Place in the flow: inside the feed, which says what a step is. Contract: ``need`` starts a thread where none runs, also after
one that died or ended; it and ``wake`` are called with the condition's lock held. The thread ends by itself once it is not
wanted any more. A wake-up between two steps is never missed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from transforms.process import threads


class FeedThread:
    """See the module.

    Args:
      changed: what the feed's readers and this thread wait at.
      work: one step; returns as ``PageFeed.work_once``, and is called without the lock.
      wait_elsewhere: waits up to so many seconds for something that ``changed`` does not tell; False where there is nothing.
      wanted: whether to go on; asked with the lock held.
    """

    def __init__(
        self,
        name: str,
        changed: threading.Condition,
        work: Callable[[], float | None],
        wait_elsewhere: Callable[[float | None], bool],
        wanted: Callable[[], bool],
    ) -> None:
        self._name = name
        self._changed = changed
        self._work = work
        self._wait_elsewhere = wait_elsewhere
        self._wanted = wanted
        self._changes = 0
        self._thread: threading.Thread | None = None

    def need(self) -> bool:
        """The thread must be at work; False where none can be had now."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threads.started(self._run, self._name)
        return self._thread is not None

    def wake(self) -> None:
        """Something changed that makes another step worth while."""
        self._changes += 1
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                changes = self._changes
            wait_secs = self._work()
            if self._wait_elsewhere(wait_secs):
                continue
            with self._changed:
                if not self._wanted():
                    self._thread = None  # before the lock is given up: who needs it from now on starts a new one
                    return
                if self._changes == changes:
                    self._changed.wait(wait_secs)
