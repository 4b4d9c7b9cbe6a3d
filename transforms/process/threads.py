"""Starting a thread where the system may refuse one.

Place in the flow: whoever starts threads that must not be missing. Contract: ``started`` gives None where no thread can be had
(the system's limit of tasks or memory is reached), which passes: the caller keeps what it wanted done and tries again, and says
so once. ``each_in_threads`` does its work in any case, at worst all of it in the caller's thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

NO_THREAD = "no thread can be started now: the system's limit of tasks (TasksMax=, ulimit -u) or its memory is used up"


def started(target: Callable[..., Any], name: str, *arguments: Any) -> threading.Thread | None:
    """A daemon thread that runs the target; None where it cannot be had now."""
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    return thread if start(thread) else None


def start(thread: threading.Thread) -> bool:
    """Starts a thread that was made before; False where it cannot be had now."""
    try:
        thread.start()
    except (RuntimeError, MemoryError):
        return False
    return True


def each_in_threads(work: Callable[[_Item], _Result], items: Sequence[_Item], most: int, name: str) -> list[_Result]:
    """The results of ``work`` for each item, in no order, made in as many threads as can be had. It must not raise."""
    left: SimpleQueue[_Item] = SimpleQueue()
    results: list[_Result] = []
    for item in items:
        left.put(item)

    def do_what_is_left() -> None:
        try:
            while True:
                results.append(work(left.get_nowait()))
        except Empty:
            return

    helpers = [started(do_what_is_left, name) for _ in range(min(most, len(items)) - 1)]
    do_what_is_left()
    for helper in helpers:
        if helper is not None:
            helper.join()
    return results
