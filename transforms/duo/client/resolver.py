"""Looking up a name within a time limit, which the system's resolver does not have.

Place in the flow: ``connections`` asks before it connects. Contract: the look-up runs in a thread of its own and goes on there
when its time is over; who asks for the same name meanwhile waits for that one, so that a resolver that hangs holds one thread
per name and not one per call. Where no thread can be had, it is looked up without a limit.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

from transforms.process.lifetime import per_process
from transforms.process.threads import started

Addresses = list[tuple[Any, Any, int, str, Any]]


class _LookUp:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._ended = threading.Event()
        self._addresses: Addresses = []
        self._error: OSError | None = None

    def run(self) -> None:
        try:
            self._addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except UnicodeError:  # no name of any host is like that
            self._error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        except OSError as error:
            self._error = error
        finally:
            _LOOK_UPS.ended(self._host, self._port)
            self._ended.set()

    def result(self, within_secs: float) -> Addresses:
        if not self._ended.wait(within_secs):
            raise TimeoutError(f"the name {self._host} was not resolved in time")
        if self._error is not None:
            raise self._error
        return self._addresses


class _LookUps:
    """Those that are under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], _LookUp] = {}

    def of(self, host: str, port: int) -> tuple[_LookUp, bool]:
        """The one look-up of a name, and whether it was made for this call."""
        with self._lock:
            known = self._under_way.get((host, port))
            if known is not None:
                return known, False
            made = self._under_way[host, port] = _LookUp(host, port)
            return made, True

    def ended(self, host: str, port: int) -> None:
        """The next call looks the name up anew."""
        with self._lock:
            self._under_way.pop((host, port), None)


_LOOK_UPS = per_process("name look-ups", _LookUps)


def resolve(host: str, port: int, within_secs: float) -> Addresses:
    """The addresses of a host, as getaddrinfo gives them. Raises OSError, TimeoutError where it takes too long."""
    look_up, new = _LOOK_UPS.of(host, port)
    if new and started(look_up.run, f"look up {host}") is None:
        look_up.run()
    return look_up.result(within_secs)
