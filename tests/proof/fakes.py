"""What the program finds under the names ``time`` and ``threading`` while it lives in a simulation.

Place: above ``simulation``, which knows whose turn it is; ``program`` puts these into the program's modules.

Contract: as much of both modules as the program uses, with the same meaning. Locks and events belong to one simulation.
"""

from __future__ import annotations

import linecache
import re
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

from typing_extensions import Self

from tests.proof.simulation import Died, Simulation, Task

# Who looks every second whether something has happened is told at once when it has. To look more rarely, as on a busy machine,
# changes nothing else, and halves the time that a history takes.
_LOOKS_RARELY_SECS = 4.0


class FakeTime:
    """Stands in for the module ``time``."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def time(self) -> float:
        return self._simulation.wall_secs

    def time_ns(self) -> int:
        return int(self._simulation.wall_secs * 1e9)

    def monotonic(self) -> float:
        return self._simulation.monotonic_secs

    perf_counter = monotonic

    def sleep(self, secs: float) -> None:
        self._simulation.sleep(secs)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def gmtime(self, secs: float | None = None) -> Any:
        return time.gmtime(self.time() if secs is None else secs)

    def strftime(self, form: str, moment: Any = None) -> str:
        return time.strftime(form, self.gmtime() if moment is None else moment)


class FakeThreading:
    """Stands in for the module ``threading``."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        make: Any = lambda kind: lambda *args, **named: kind(simulation, *args, **named)  # noqa: E731 - one line for three
        self.Event, self.Thread = make(Event), make(Thread)

    def Lock(self) -> Lock:  # noqa: N802 - as in threading
        return Lock(self.simulation, _maker(sys._getframe(1)))

    def Condition(self) -> Condition:  # noqa: N802 - as in threading
        return Condition(self.simulation, _maker(sys._getframe(1)))

    RLock = Lock

    def __getattr__(self, name: str) -> Any:
        return getattr(threading, name)


ORDERS: set[tuple[str, str]] = set()
"""Every pair of kinds of locks of which the second was taken by who held the first, since this module was loaded."""

_HELD: WeakKeyDictionary[Task, list[Lock]] = WeakKeyDictionary()


def _maker(frame: FrameType) -> str:
    """Which class has a lock, and as what: ``PassSlots._lock``."""
    attribute = re.search(r"self\.(\w+)", linecache.getline(frame.f_code.co_filename, frame.f_lineno))
    of = type(frame.f_locals["self"]).__name__ if "self" in frame.f_locals else frame.f_globals["__name__"]
    return f"{of}.{attribute[1] if attribute else frame.f_code.co_name}"


class Lock:
    """A lock, reentrant because that costs nothing."""

    def __init__(self, simulation: Simulation, kind: str) -> None:
        self.kind = kind
        self._simulation = simulation
        self._owner: Task | None = None
        self._depth = 0
        self._waiting: list[tuple[Task, int]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        simulation = self._simulation
        me = simulation.current
        if me.group.dead:
            raise Died
        deadline = simulation.now + timeout if timeout >= 0 else None
        while self._owner not in (None, me) and not self._owner.group.dead:
            if not blocking or (deadline is not None and simulation.now >= deadline):
                return False
            self._waiting.append((me, me.waits + 1))
            simulation.wait(None if deadline is None else deadline - simulation.now)
        if self._owner is not me:
            held = _HELD.setdefault(me, [])
            ORDERS.update((outer.kind, self.kind) for outer in held)
            held.append(self)
        self._owner, self._depth = me, self._depth + 1 if self._owner is me else 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth <= 0:
            if self._owner is not None:
                _HELD[self._owner].remove(self)
            self._owner = None
            waiting, self._waiting = self._waiting, []
            for task, number in waiting:
                self._simulation.wake(task, number)

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()


class Condition(Lock):
    """A condition with its own lock."""

    def __init__(self, simulation: Simulation, kind: str) -> None:
        super().__init__(simulation, kind)
        self._notified: list[tuple[Task, int]] = []

    def wait(self, timeout: float | None = None) -> bool:
        me = self._simulation.current
        depth, self._depth = self._depth, 1
        number = me.waits + 1
        self._notified.append((me, number))
        self.release()
        try:
            self._simulation.wait(_rarely(timeout))
        finally:
            told = (me, number) not in self._notified
            if not told:
                self._notified.remove((me, number))
        self.acquire()
        self._depth = depth
        return told

    def notify_all(self) -> None:
        notified, self._notified = self._notified, []
        for task, number in notified:
            self._simulation.wake(task, number)

    notify = notify_all


def _rarely(timeout: float | None) -> float | None:
    return _LOOKS_RARELY_SECS if timeout is not None and 0.4 < timeout < _LOOKS_RARELY_SECS else timeout


class Event:
    """An event."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._set = False
        self._waiting: list[tuple[Task, int]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self._waiting = self._waiting, []
        for task, number in waiting:
            self._simulation.wake(task, number)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            me = self._simulation.current
            self._waiting.append((me, me.waits + 1))
            self._simulation.wait(_rarely(timeout))
        return self._set


class Thread:
    """A thread of the process that starts it."""

    def __init__(
        self,
        simulation: Simulation,
        *,
        target: Any = None,
        args: Any = (),
        kwargs: Any = None,
        name: str = "",
        daemon: Any = None,
    ) -> None:
        self._simulation = simulation
        self._work = lambda: target(*args, **(kwargs or {}))
        self.name = name
        self.daemon = daemon
        self._task: Task | None = None

    def start(self) -> None:
        self._simulation.check()
        self._task = self._simulation.spawn(self._work, self.name, self._simulation.current.group)

    @property
    def ident(self) -> int | None:
        return None if self._task is None else id(self._task)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done

    def join(self, timeout: float | None = None) -> None:
        if self._task is not None:
            self._simulation.join(self._task, timeout)


class InlineExecutor:
    """Stands in for ``ThreadPoolExecutor``, with one thread per call as it would have."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __call__(self, *_args: object, **_named: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def map(self, work: Callable[..., Any], items: Any) -> list[Any]:
        results: list[Any] = [None] * len(items := list(items))

        def do(index: int) -> None:
            results[index] = work(items[index])

        threads = [Thread(self._simulation, target=do, args=(index,)) for index in range(len(items))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results
