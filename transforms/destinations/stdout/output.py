"""The program's standard output, taken for events alone.

Place in the flow: all senders of ``transforms.destinations.stdout`` write here; a process has one ``OUTPUT``.

Contract:
  * From the first write on, descriptor 1 is standard error: whatever else in this process prints, libraries included, cannot
    get between two events. ``release`` gives it back.
  * Blocks are of whole lines, and do not mix. One that could not be ended is ended before the next begins.
  * A pipe is written to in pieces that it has room for, so that who waits for a slow reader can stop waiting.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from transforms.process.lifetime import Stage, per_process

_STDOUT, _STDERR = 1, 2
_LOOK_SECS = 0.2

Watch = Callable[[], None]
"""Raises where a wait must end."""


class Output:
    """See the module. Methods raise OSError: BrokenPipeError where nobody reads any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._left = memoryview(b"")  # of a block that was begun

    def write(self, block: bytes, watch: Watch) -> None:
        """Writes whole lines. Raised out of, the next call ends the line that was begun; the block is to be given again."""
        with self._alone(watch):
            descriptor = self._claimed()
            self._pour(descriptor, watch)
            self._left = memoryview(block)
            try:
                self._pour(descriptor, watch)
            except BaseException:
                self._left = _rest_of_line(block, len(block) - len(self._left))
                raise

    def release(self) -> None:
        """Standard output is for everybody again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.dup2(descriptor, _STDOUT)
            os.close(descriptor)

    @contextmanager
    def _alone(self, watch: Watch) -> Iterator[None]:
        while not self._lock.acquire(timeout=_LOOK_SECS):
            watch()
        try:
            yield
        finally:
            self._lock.release()

    def _claimed(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.dup(_STDOUT)
            os.dup2(_STDERR, _STDOUT)
        return self._descriptor

    def _pour(self, descriptor: int, watch: Watch) -> None:
        piece = None if stat.S_ISREG(os.fstat(descriptor).st_mode) else select.PIPE_BUF
        poller = select.poll()
        poller.register(descriptor, select.POLLOUT)
        while self._left:
            if not poller.poll(_LOOK_SECS * 1000):
                watch()
                continue
            try:
                self._left = self._left[os.write(descriptor, self._left[:piece]) :]
            except BlockingIOError:
                watch()


def _rest_of_line(block: bytes, written: int) -> memoryview:
    """What makes a half line whole that was written of a block; nothing where it was none."""
    if not written or block[written - 1 : written] == b"\n":
        return memoryview(b"")
    return memoryview(block)[written : block.index(b"\n", written) + 1]


OUTPUT = per_process("standard output", Output, close=Output.release, stage=Stage.FILES)
