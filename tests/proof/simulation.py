"""Virtual time and threads that take turns: what makes a history of the proof repeatable, and hours of it cheap.

Place: the bottom of the proof. The program under test runs as it is, with its threads, locks and waits; only that its modules
find ``fakes`` under the names ``time`` and ``threading``.

Contract: one thread runs at any moment, and gives up its turn only where it waits. Who follows is chosen by a seeded generator
of random numbers, so the same seed gives the same history. Nothing waits in real time: when all wait, the clock goes to the
next moment at which something happens. Threads belong to a *group*, an operating system's process; a group that is killed
gets ``Died`` raised wherever it waits or would wait next, and never gets to do anything in the world again.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable

_EPOCH = 1_795_000_000.0


class Died(BaseException):
    """This thread's process was killed. Not an Exception: nobody may survive it."""


class Stuck(AssertionError):
    """Everybody waits and nothing will ever happen."""


class Group:
    """A process: its threads live and die together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.tasks: list[Task] = []

    @property
    def alive(self) -> bool:
        return any(not task.done for task in self.tasks)


class Task:
    """A thread that runs when it is its turn."""

    def __init__(self, name: str, group: Group) -> None:
        self.name = name
        self.group = group
        self.go = threading.Lock()
        self.go.acquire()
        self.waits = 0  # grows with every wait, so that a wake-up that comes too late means nothing
        self.ready = False
        self.done = False
        self.joiners: list[tuple[Task, int]] = []


class Simulation:
    """The clock, who waits for what, and whose turn it is. Made in the thread that directs the history."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.wall_offset_secs = 0.0
        self.operations = 0
        self.failure: BaseException | None = None
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._ready: list[Task] = []
        self._armed: tuple[int, Callable[[], None]] | None = None
        self.director = Task("director", Group("director"))
        self.current = self.director

    # --- clocks ------------------------------------------------------------------------------------------------------

    @property
    def true_secs(self) -> float:
        """The time as Duo has it."""
        return _EPOCH + self.now

    @property
    def wall_secs(self) -> float:
        """The time as the program's machine believes."""
        return max(0.0, self.true_secs + self.wall_offset_secs)

    @property
    def monotonic_secs(self) -> float:
        """Since the program's machine was switched on."""
        return 1000.0 + self.now

    # --- what happens later ------------------------------------------------------------------------------------------

    def later(self, secs: float, action: Callable[[], None]) -> None:
        """Does something that never waits, after so long, whoever's turn it is."""
        heapq.heappush(self._timers, (self.now + max(0.0, secs), next(self._numbers), action))

    def arm(self, operations: int, action: Callable[[], None]) -> None:
        """Does something at the so-many-th operation on disk or network from now on: between any two steps of the program."""
        self._armed = (self.operations + operations, action)

    def disarm(self) -> None:
        """What was armed does not happen any more."""
        self._armed = None

    def operation(self, secs: float = 0.0) -> None:
        """The present thread reaches for disk or network, which takes so long."""
        self.check()
        self.operations += 1
        if self._armed is not None and self.operations >= self._armed[0]:
            action, self._armed = self._armed[1], None
            action()
            self.check()
        if secs:
            self.sleep(secs)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises Died in a thread of a process that was killed."""
        if self.current.group.dead:
            raise Died

    def sleep(self, secs: float) -> None:
        self.wait(secs)

    def wait(self, secs: float | None) -> None:
        """The present thread waits until it is woken, or so long."""
        self.check()
        me = self.current
        me.waits += 1
        if secs is not None:
            self.later(secs, lambda task=me, number=me.waits: self.wake(task, number))
        self._give_turn(me)
        self.check()

    def wake(self, task: Task, number: int) -> None:
        """Ends the wait of that number, if it still lasts."""
        if task.waits == number and not task.ready and not task.done:
            task.ready = True
            task.waits += 1
            self._ready.append(task)

    def _give_turn(self, me: Task | None) -> None:
        after = self._next()
        if after is me:
            return
        self.current = after
        after.go.release()
        if me is not None:
            me.go.acquire()

    def _next(self) -> Task:
        while not self._ready:
            if not self._timers:
                self.failure = self.failure or Stuck("nothing will ever happen again")
                self.wake(self.director, self.director.waits)
                continue
            at, _, action = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            action()
        task = self._ready.pop(self.rng.randrange(len(self._ready)) if len(self._ready) > 1 else 0)
        task.ready = False
        return task

    # --- threads -----------------------------------------------------------------------------------------------------

    def spawn(self, target: Callable[[], object], name: str, group: Group) -> Task:
        task = Task(name, group)
        group.tasks.append(task)
        thread = threading.Thread(target=self._run, args=(task, target), name=name, daemon=True)
        thread.start()
        task.waits += 1
        self.wake(task, task.waits)
        return task

    def _run(self, task: Task, target: Callable[[], object]) -> None:
        task.go.acquire()
        try:
            if not task.group.dead:
                target()
        except Died:
            pass
        except BaseException as error:  # a thread that dies of a bug: the history has failed, and says of what
            self.failure = self.failure or error
        task.done = True
        for waiting, number in task.joiners:
            self.wake(waiting, number)
        self._give_turn(None)

    def join(self, task: Task, secs: float | None) -> None:
        if not task.done:
            task.joiners.append((self.current, self.current.waits + 1))
            self.wait(secs)

    def kill(self, group: Group) -> None:
        """kill -9. Its threads end the next time that it would be their turn."""
        group.dead = True
        for task in group.tasks:
            if task is not self.current:
                self.wake(task, task.waits)

    def bury(self, group: Group) -> None:
        """Lets the threads of a killed process end; called by the director."""
        while group.alive:
            self.sleep(0.0)
