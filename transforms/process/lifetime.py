"""What lives as long as the process: every object that outlives a call and belongs to nobody, in one list.

Place in the flow: under everything. A module that must have one object per process (the word to stop, the connections to Duo,
the feeds, what is known of a destination) makes it by ``per_process``, and in no other way. What the objects are for is not
known here.

Contract:
  * ``per_process`` makes an object and registers it. It is called while a module is imported, and never later.
  * ``reset`` leaves every registered object as it is in a process that has just begun. Whoever holds the object goes on holding
    the same one; only what is in it is new, its locks included. Programs that embed a run, and tests, call it between two runs.
  * The order of ``reset`` is that of an orderly end, by ``Stage``: everything is told to stop, then threads are ended, then
    connections are closed, then files, and last everything is forgotten.
  * Two things are not registered: tables that are filled where they are written, to which only a ``register`` adds while
    modules are imported; and caches of pure functions, which can only make things faster. A test walks through all modules and
    fails for anything else that is not in the list.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
_Key = TypeVar("_Key", bound=Hashable)


class Stage(IntEnum):
    """When an object is closed by ``reset``."""

    WORD = 0  # the one that everything which waits listens to
    THREADS = 1
    CONNECTIONS = 2
    FILES = 3


@dataclass(frozen=True)
class _Registered:
    thing: Any
    make: Callable[[], Any]
    close: Callable[[Any], object] | None
    stage: Stage | None


_REGISTERED: dict[str, _Registered] = {}


def per_process(
    name: str, make: Callable[[], _T], *, close: Callable[[_T], object] | None = None, stage: Stage | None = None
) -> _T:
    """Makes the one object of this process that has this name.

    Args:
      name: what it is, for ``names`` and for people.
      make: makes a new one, which ``reset`` also uses. No attribute of what it makes may refer back to the object itself.
      close: gives up what the object holds outside of Python's memory: threads, sockets, files.
      stage: when that is done; it goes with ``close``.
    """
    thing = make()
    _REGISTERED[name] = _Registered(thing, make, close, stage)
    return thing


def reset(*, close: bool = True) -> None:
    """Makes this process one that has just begun. See the module.

    Args:
      close: False where nothing can be closed any more, because the threads that held it are dead.
    """
    if close:
        for stage in Stage:
            for entry in _REGISTERED.values():
                if entry.stage is stage and entry.close is not None:
                    entry.close(entry.thing)
    for entry in _REGISTERED.values():
        _renew(entry)


def names() -> dict[str, Stage | None]:
    """Everything that the imported modules have registered, and when it is closed; None for what is only forgotten."""
    return {name: entry.stage for name, entry in _REGISTERED.items()}


def is_registered(thing: object) -> bool:
    """Whether it is one of the objects that ``reset`` looks after."""
    return thing is _REGISTERED or any(entry.thing is thing for entry in _REGISTERED.values())


class OnePerKey(Generic[_Key, _T]):
    """One object for each key, made when it is first asked for. Thread-safe; an object is never made twice."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[_Key, _T] = {}

    def of(self, key: _Key, make: Callable[[], _T]) -> _T:
        """The one object of this key. ``make`` is called with the lock held, so it waits for nothing."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def get(self, key: _Key) -> _T | None:
        """The object of this key where there is one; none is made."""
        with self._lock:
            return self._made.get(key)

    def take_out(self, key: _Key) -> _T | None:
        """Forgets the object of a key, and hands it over for whatever its end needs."""
        with self._lock:
            return self._made.pop(key, None)

    def take_all_out(self) -> list[_T]:
        """Forgets all objects, and hands them over."""
        with self._lock:
            made = list(self._made.values())
            self._made.clear()
        return made

    def all(self) -> list[_T]:
        """The objects that there are now."""
        with self._lock:
            return list(self._made.values())


def _renew(entry: _Registered) -> None:
    thing, fresh = entry.thing, entry.make()
    if isinstance(thing, (dict, set)):
        thing.clear()
        thing.update(fresh)
    elif isinstance(thing, (list, deque)):
        thing.clear()
        thing.extend(fresh)
    else:
        vars(thing).clear()
        vars(thing).update(vars(fresh))
