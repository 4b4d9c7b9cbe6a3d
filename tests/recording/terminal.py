"""A terminal that commands run in: what they write comes back as it would be seen, with its colours.

Contract: a command sees a terminal of the given size on all three streams; leaving the ``with`` ends it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from typing_extensions import Self

from tests.recording.svg import COLUMNS, ROWS

ROOT = Path(__file__).parents[2]


class Command:
    """``duologsync`` with its words, in a folder."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._folder = folder
        self._screen, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        command = [sys.executable, "-m", "pipelines", *words]
        self._process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=there, stdout=there, stderr=there, start_new_session=True
        )
        os.close(there)
        self._written = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def end(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def shown(self, for_secs: float = 60.0) -> str:
        """All that it has written so far, once it has ended or the time is over. The folder is told as its user would."""
        until = time.monotonic() + for_secs
        while time.monotonic() < until and self._more():
            pass
        text = self._written.decode("utf-8", "replace").replace("\r\n", "\n")
        return text.replace(str(self._folder), "~").rstrip("\n")

    def _more(self) -> bool:
        """Reads on; False once nothing can come any more."""
        if select.select([self._screen], [], [], 0.1)[0]:
            try:
                read = os.read(self._screen, 65_536)
            except OSError:  # the other end is closed
                return False
            self._written += read
            return bool(read)
        return self._process.poll() is None
