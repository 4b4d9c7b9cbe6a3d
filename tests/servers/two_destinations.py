"""One log for two SIEMs, of which one is away for a while: what the other one notices, and what that costs at Duo.

Place: a test beside it runs it for some seconds, ``benchmarks.two_destinations`` for minutes and on other runners. The same
stretch with one destination alone is what it is compared with.

Contract: events are published steadily. What counts as delay is the time from an event's publication to its arrival at the SIEM
that is there, measured at one event in each tick of the load.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipelines.demo.receiver import SiemReceiver
from tests.servers.harness import (
    PATIENCE_SECS,
    Duo,
    Program,
    missing,
    repeated,
    tcp,
    wait_for_all,
    wait_until,
    write_config,
)

LOG_TYPE = "auth"
_TICK_SECS = 0.2
_BACKLOG = 2_500


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes:
      events: how many were published. lost: of them, at all SIEMs together. repeated: at the SIEM that was there.
      repeated_away: at the one that was away: of what it had acknowledged when it went, nobody knows whether it was read.
      delays_secs: at the SIEM that was there, while the other one was away.
      calls_away, calls_after: to Duo, while it was away and in the time after that.
      caught_up_secs: from its return until it had all that had been published by then.
    """

    events: int
    lost: int
    repeated: int
    repeated_away: int
    delays_secs: tuple[float, ...]
    calls_away: int
    calls_after: int
    caught_up_secs: float

    @property
    def median_delay_secs(self) -> float:
        return median(self.delays_secs)

    @property
    def most_delay_secs(self) -> float:
        return max(self.delays_secs)


class _Load:
    """Publishes events steadily, and notes when each tick's last one arrives at a SIEM."""

    def __init__(self, duo: Duo, siem: SiemReceiver, events_per_sec: float) -> None:
        self._duo = duo
        self._siem = siem
        self._per_tick = max(1, round(events_per_sec * _TICK_SECS))
        self._on_their_way: deque[tuple[int, float]] = deque()  # how many there are with the tick's, and when they came
        self._delays: list[tuple[float, float]] = []  # when they came, and what it took
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._publish), threading.Thread(target=self._watch)]
        self._total = _BACKLOG

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """No more; returns when all that was published is at the SIEM, or some time later."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def delays(self, since: float, until: float) -> tuple[float, ...]:
        """Of what was published in between."""
        return tuple(delay for published_at, delay in self._delays if since <= published_at < until)

    def _publish(self) -> None:
        at = time.monotonic()
        while not self._ended.is_set():
            self._duo.simulator.add(LOG_TYPE, self._per_tick)
            self._total += self._per_tick
            self._on_their_way.append((self._total, time.monotonic()))
            at += _TICK_SECS
            self._ended.wait(max(0.0, at - time.monotonic()))

    def _watch(self) -> None:
        give_up_at = None
        while not self._ended.is_set() or self._on_their_way:
            if self._ended.wait(0.01):
                time.sleep(0.01)
                give_up_at = give_up_at or time.monotonic() + PATIENCE_SECS
                if time.monotonic() > give_up_at:
                    return
            arrived, now = self._siem.total(), time.monotonic()
            while self._on_their_way and self._on_their_way[0][0] <= arrived:
                _, published_at = self._on_their_way.popleft()
                self._delays.append((published_at, now - published_at))


def one_away(
    folder: Path,
    *,
    away_secs: float,
    after_secs: float,
    destinations: Iterable[str] = ("here", "away"),
    events_per_sec: float = 50.0,
    launch: Callable[[Path, Path], Program] | None = None,
    settle: Callable[[], None] = lambda: None,
) -> Outcome:
    """Runs the program with one log for all destinations; the one called ``away`` is, for so long.

    Args:
      launch: makes the program, from a folder and a configuration file; None runs it locally.
      settle: returns when what has been delivered by then would not be repeated after a failure.
    """
    names = list(destinations)
    with ExitStack() as stack:
        duo = stack.enter_context(Duo(folder))
        siems = {name: stack.enter_context(SiemReceiver()) for name in names}
        duo.add_backlog({LOG_TYPE: _BACKLOG})
        config = write_config(
            folder, duo, [tcp(siem.port, name) for name, siem in siems.items()], log_types=[LOG_TYPE], poll_interval_secs=2
        )
        program = stack.enter_context(launch(folder, config) if launch else Program(folder, "run", config))
        for name, siem in siems.items():
            wait_until(lambda siem=siem: siem.total() >= _BACKLOG, f"the backlog at {name}")
        settle()
        load = _Load(duo, siems["here"], events_per_sec)
        load.start()
        stack.callback(load.end)
        time.sleep(5.0)
        return _measured(duo, siems, program, load, away_secs, after_secs)


def _measured(
    duo: Duo, siems: dict[str, SiemReceiver], program: Program, load: _Load, away_secs: float, after_secs: float
) -> Outcome:
    calls = [len(duo.simulator.calls)]
    away_at = time.monotonic()
    away = siems.get("away")
    if away is not None:
        away.refuse()
        away.close_connections()
    time.sleep(away_secs)
    calls.append(len(duo.simulator.calls))
    back_at, caught_up_secs = time.monotonic(), 0.0
    if away is not None:
        published = len(duo.simulator.produced_ids(LOG_TYPE))
        away.reopen()
        assert away.wait_for(published, 60 + 2 * away_secs, log_type=LOG_TYPE, unique=True), program.log()[-3000:]
        caught_up_secs = time.monotonic() - back_at
    time.sleep(max(0.0, after_secs - (time.monotonic() - back_at)))
    calls.append(len(duo.simulator.calls))
    load.end()
    for siem in siems.values():
        wait_for_all(duo, siem, [LOG_TYPE], program)
    produced = duo.produced([LOG_TYPE])
    return Outcome(
        events=len(produced[LOG_TYPE]),
        lost=sum(sum(missing(produced, siem).values()) for siem in siems.values()),
        repeated=sum(repeated(siems["here"]).values()),
        repeated_away=sum(repeated(away).values()) if away is not None else 0,
        delays_secs=load.delays(away_at, back_at),
        calls_away=calls[1] - calls[0],
        calls_after=calls[2] - calls[1],
        caught_up_secs=caught_up_secs,
    )
