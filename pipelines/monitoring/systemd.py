"""What systemd is told of a run, where it asks for it: that it has begun, how it is, that it lives, that it ends.

Place in the flow: the supervisor calls it from its loop. Contract: where systemd did not start the program, or does not want to
know, nothing happens. Each message is one datagram; it waits for nobody, and one that cannot be sent is no trouble.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from pipelines.printable import printable

_STATUS_SECS = 10.0  # no more often, and only where it has changed
_COST_TIMES = 500.0  # and less often where it takes long to say: of thousands of streams
_LONGEST_STATUS = 500


class Notifier:
    """Tells the service manager that started this process; made at the start of a run."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._watchdog_secs = _watchdog_secs() / 2
        self._pinged_at = float("-inf")
        self._say_at = 0.0
        self._said = ""

    def ready(self) -> None:
        """The run has begun."""
        self._tell("READY=1")

    def tick(self, status: Callable[[], str], healthy: Callable[[], bool]) -> None:
        """Call it about once a second: says how the run is, and that it lives while it is healthy."""
        if not self._address:
            return
        now = time.monotonic()
        if now >= self._say_at:
            said = printable(status())[:_LONGEST_STATUS]
            self._say_at = now + max(_STATUS_SECS, _COST_TIMES * (time.monotonic() - now))
            if said != self._said:
                self._said = said
                self._tell(f"STATUS={said}")
        if self._watchdog_secs and now - self._pinged_at >= self._watchdog_secs and healthy():
            self._pinged_at = now
            self._tell("WATCHDOG=1")

    def stopping(self) -> None:
        """The run ends."""
        self._tell("STOPPING=1\nSTATUS=delivering what was read, then it ends")

    def _tell(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # A name that begins with @ stands for one that begins with a zero byte and is in no directory.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)
            sock.connect(address)
            sock.send(message.encode("utf-8", "backslashreplace"))


def _watchdog_secs() -> float:
    """How long systemd waits for a sign of life of this process; 0 where it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    try:
        return int(os.environ.get("WATCHDOG_USEC", "0")) / 1_000_000
    except ValueError:
        return 0.0
