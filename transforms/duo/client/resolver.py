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
            with _lock:
                _under_way.pop((self._host, self._port), None)
            self._ended.set()

    def result(self, within_secs: float) -> Addresses:
        if not self._ended.wait(within_secs):
            raise TimeoutError(f"the name {self._host} was not resolved in time")
        if self._error is not None:
            raise self._error
        return self._addresses


_lock = per_process("lock of name look-ups", threading.Lock)
_under_way: dict[tuple[str, int], _LookUp] = per_process("name look-ups", dict)


def resolve(host: str, port: int, within_secs: float) -> Addresses:
    """The addresses of a host, as getaddrinfo gives them. Raises OSError, TimeoutError where it takes too long."""
    with _lock:
        look_up = _under_way.get((host, port))
        if look_up is None:
            look_up = _under_way[host, port] = _LookUp(host, port)
            thread = threading.Thread(target=look_up.run, name=f"look up {host}", daemon=True)
        else:
            thread = None
    if thread is not None:
        try:
            thread.start()
        except RuntimeError:  # no thread can be had now
            look_up.run()
    return look_up.result(within_secs)
