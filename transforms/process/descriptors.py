"""File descriptors: how many this process may have, and what to say where there is none left.

Place in the flow: ``run`` raises the limit at its start; ``duo.connections`` reckons with it, and asks here whether an error
means that there are none left, which the libraries below say in several ways.

Contract: looks and sets; keeps nothing.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl
from pathlib import Path

from transforms.errors import RetryLater
from transforms.process.plural import counted

# More is of no use, and some libraries go through all possible numbers.
_MOST = 65_536
# Beside connections to Duo: destinations, checkpoints, dead letters, secrets, name look-ups.
_LEAST_RESERVE = 40
_FIX = "Raise it: LimitNOFILE= in the systemd unit, ulimit -n in a shell, --ulimit nofile= for a container."


def raise_limit() -> int:
    """Raises this process's limit as far as it may; the limit that holds from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a sandbox may forbid it; then the limit stays as it is
            return limit()
    return limit()


def limit() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)


def in_use() -> int:
    """How many it has; a guess where the system does not tell."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 30


def left_for_duo() -> int:
    """How many connections to Duo leave enough for everything else; at least one."""
    most = limit()
    return max(1, most - in_use() - max(_LEAST_RESERVE, most // 4))


def ran_out(error: BaseException) -> bool:
    """Whether an error means that no descriptor could be had. Name look-ups and TLS say only that something failed."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return True
    return isinstance(error, (socket.gaierror, ssl.SSLError)) and _none_left()


def shortage(doing: str) -> RetryLater:
    """The error that says what is short, and what to set."""
    return RetryLater(
        f"No file descriptor is left for {doing}: this process may have {limit()}, and {in_use()} are in use. {_FIX}",
        kind="descriptors",
    )


def advice(streams: int, connections: int) -> str:
    """What to tell where a limit makes streams share connections."""
    return (
        f"This process may have {limit()} file descriptors, so {streams} streams share {counted(connections, 'connection')} to "
        f"Duo. Nothing is lost by that, but a stream may wait for another. {_FIX}"
    )


def _none_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
