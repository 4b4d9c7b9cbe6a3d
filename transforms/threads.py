"""Starting a thread where the system may refuse one.

Place in the flow: whoever starts threads that must not be missing. Contract: ``started`` gives None where no thread can be had
(the system's limit of tasks or memory is reached), which passes: the caller keeps what it wanted done and tries again, and says
so once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

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
