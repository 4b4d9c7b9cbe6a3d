"""One history: a plan is carried out, all troubles end, and then everything must be where it belongs.

Place: the heart of the proof. ``run`` takes a plan and returns what happened and what was wrong; it asserts nothing.

What is checked is what Vector's harness checks, after the faults have stopped and time has passed:
  * every row that Duo has is at every destination, or a dead letter for that destination;
  * nothing arrived that Duo does not have, and no line is mangled: a plain row arrives exactly as its format writes it;
  * an event that is new after the faults gets through, within ``LIVENESS_SECS``, and the program still runs;
  * while one destination is away and nothing else is wrong, a new event reaches the other within ``NEAR_SECS``;
  * nothing was told as a bug: no traceback, no thread that died.
How often each trouble came, and how often something was sent again, is counted: where nothing happens, nothing is proved.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipelines import exit_codes
from tests.proof.disk import Disk
from tests.proof.duo import MARKER, MOST_BYTES, Duo, Row
from tests.proof.plans import HOSTS, ONE_AWAY, Plan
from tests.proof.program import GRACE_SECS, Stage
from tests.proof.siem import Host
from tests.proof.simulation import Simulation
from transforms.coders import DuoEvent, Stream
from transforms.destinations.stream.settings import TcpSettings
from transforms.errors import Undeliverable
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.secrets import SecretRef
from transforms.settings import Account, Destination, Format, Job, Reading, Route, Storage
from transforms.state.dead_letters.letter import read_dead_letters

LIVENESS_SECS = 1500.0
SETTLE_SECS = 7200.0
NEAR_SECS = 120.0
_STEP_SECS = 5.0
_RESTART_SECS = 3.0
_MEMORY = Path("/dev/shm")


@dataclass
class Outcome:
    """What a history came to. ``wrong`` is empty where all is well."""

    plan: Plan
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)
    virtual_secs: float = 0.0

    def __str__(self) -> str:
        return "\n".join((*self.wrong, self.plan.command, str(self.plan), *self.log[-40:]))


def run(plan: Plan) -> Outcome:
    """Carries out a plan from its first moment to its verdict."""
    folder = Path(tempfile.mkdtemp(prefix="proof-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        return History(plan, folder).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class History:
    """The world of one plan. The methods that plans name are below ``run``."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.simulation = Simulation(plan.seed)
        self.duo = Duo(self.simulation, plan.page_rows)
        self.hosts = {name: Host(self.simulation, name, plan.receive_bytes, plan.lag_secs) for name in HOSTS}
        self.disk = Disk(self.simulation, folder)
        self.job = _job(plan, folder)
        self.stage = Stage(self.simulation, self.duo, self.hosts, self.disk, self.job)
        self.stage.gives_up, self.stage.finalizes_late = plan.gives_up, plan.finalizes_late
        self.stage.drops_finalizers = plan.drops_finalizers
        self.outcome = Outcome(plan)

    def run(self) -> Outcome:
        record = _Record(self.simulation, self.outcome.log)
        with record.listening(), self.stage.in_place():
            self._carry_out()
        self.outcome.wrong += record.bugs[:3]
        if self.simulation.failure is not None:
            self.outcome.wrong.append(f"a thread died: {self.simulation.failure!r}")
        self._count()
        return self.outcome

    def _carry_out(self) -> None:
        self._rows_of_the_past(self.plan.backlog, 36_000.0)
        self.stage.launch()
        for action in self.plan.actions:
            self._pass_time(action.after_secs)
            getattr(self, action.what)(*action.arguments)
        self._pass_time(self.plan.rest_secs)
        self._heal()
        fresh = [row for log_type in self.plan.log_types for row in self.duo.publish(log_type, 2)]
        if not self._wait_for(lambda: not self._missing(fresh), LIVENESS_SECS):
            self._blame("an event that is new after the troubles does not arrive", self._missing(fresh))
        if not self._wait_for(lambda: not self._missing(self.duo.rows), SETTLE_SECS):
            self._blame("lost", self._missing(self.duo.rows))
        self._check_lines()
        self.terminate(restart=False)
        if self.stage.exit_codes[-1:] != [exit_codes.OK]:
            self.outcome.wrong.append(f"an orderly end after all troubles came to exit code {self.stage.exit_codes[-1:]}")

    # --- time --------------------------------------------------------------------------------------------------------

    def _pass_time(self, secs: float) -> None:
        """Lets time pass. Whatever ended meanwhile is started again, as systemd would."""
        end = self.simulation.now + secs
        while (left := end - self.simulation.now) > 0:
            self.simulation.sleep(min(left, _STEP_SECS))
            self._restart_if_gone()

    def _restart_if_gone(self) -> None:
        if self.stage.group.dead or not self.stage.running:
            self.stage.bury()
            self.simulation.sleep(_RESTART_SECS)
            self.outcome.counts["starts again"] += 1
            self.stage.launch()

    def _wait_for(self, condition: Callable[[], bool], secs: float) -> bool:
        end = self.simulation.now + secs
        while not condition():
            if self.simulation.now >= end or self.simulation.failure is not None:
                return False
            self._pass_time(20.0)
        return True

    def _heal(self) -> None:
        for host in self.hosts.values():
            host.heal()
        self.disk.trouble = ""
        self.duo.troubles.clear()
        self.simulation.wall_offset_secs = 0.0
        self.simulation.disarm()
        self.stage.gives_up = self.stage.drops_finalizers = 0.0
        self._healed = True

    _healed = False

    def _later(self, secs: float, action: Callable[[], object]) -> None:
        """The end of a trouble; none comes after all have ended."""
        self.simulation.later(secs, lambda: None if self._healed else action())

    # --- the verdict -------------------------------------------------------------------------------------------------

    def _missing(self, rows: list[Row]) -> dict[str, list[Row]]:
        """Per destination, what is neither there nor a dead letter for it."""
        letters = self._letters()
        missing = {}
        for name, host in self.hosts.items():
            there = Counter(marker for line in host.lines for marker in MARKER.findall(line))
            gone = [
                row for row in rows if row.log_type in self.plan.log_types and not there[row.marker] + letters[name, row.marker]
            ]
            if gone:
                missing[name] = gone
        return missing

    def _letters(self) -> Counter[tuple[str, bytes]]:
        return Counter(
            (letter.destination, marker)
            for path in (self.folder / "dead-letters").glob("*.avro")
            for letter in read_dead_letters(path)
            for marker in MARKER.findall(letter.raw or letter.message)
        )

    def _blame(self, what: str, missing: dict[str, list[Row]]) -> None:
        for name, rows in missing.items():
            first = ", ".join(f"{row.log_type} {row.number}{f' ({row.odd})' if row.odd else ''}" for row in rows[:5])
            self.outcome.wrong.append(f"{what}: {len(rows)} of {len(self.duo.rows)} events for {name}: {first}")

    def _check_lines(self) -> None:
        rows = {row.marker: row for row in self.duo.rows}
        for name, host in self.hosts.items():
            for line in host.lines:
                row = rows.get(next(iter(MARKER.findall(line)), b""))
                if row is None:
                    self.outcome.wrong.append(f"{name} was given what Duo does not have: {line[:200]!r}")
                elif not row.odd and line != self._as_written(name, row):
                    self.outcome.wrong.append(f"{name} was given another text than the format writes: {line[:200]!r}")

    def _as_written(self, name: str, row: Row) -> bytes | None:
        try:
            return self._formatters[name].format(DuoEvent(Stream("acme", row.log_type, _API_HOST, None), row.raw))
        except Undeliverable:
            return None

    @cached_property
    def _formatters(self) -> dict[str, object]:
        return {d.name: make_formatter(d.format) for d in self.job.destinations}

    def _count(self) -> None:
        counts = self.outcome.counts
        counts.update(self.duo.counts + self.disk.counts + self.stage.counts)
        for host in self.hosts.values():
            counts.update(host.counts)
            counts["events arrived"] += len(host.lines)
            counts["events repeated"] += len(host.lines) - len(set(host.lines))
        counts["events of Duo"] += len(self.duo.rows)
        counts["operations"] += self.simulation.operations
        self.outcome.virtual_secs = self.simulation.now

    # --- what plans name: Duo ----------------------------------------------------------------------------------------

    def publish(self, log_type: str, count: int, ago_secs: float) -> None:
        self.duo.publish(log_type, count, ago_secs=ago_secs)

    def _rows_of_the_past(self, count: int, secs: float) -> None:
        for log_type in self.plan.log_types:
            self.duo.publish(log_type, count, ago_secs=secs, over_secs=secs)

    def away(self, secs: float, count: int) -> None:
        """The program's machine is off for long; rows come meanwhile."""
        self.outcome.counts["off for long"] += 1
        self.stage.kill()
        self.stage.bury()
        self.simulation.sleep(secs)
        self._rows_of_the_past(count, secs)

    def publish_late(self, log_type: str, count: int, late_secs: float) -> None:
        self.outcome.counts["late rows"] += count
        self.duo.publish(log_type, count, late_secs=late_secs)

    def publish_odd(self, log_type: str, odd: str) -> None:
        self.duo.publish_odd(log_type, odd)

    def trouble_of_duo(self, trouble: str, times: int, after: int = 0) -> None:
        """So many answers, behind so many good ones."""
        self.duo.troubles.extend([""] * after + [trouble] * times)

    # --- what plans name: a SIEM -------------------------------------------------------------------------------------

    def reset(self, name: str) -> None:
        self.hosts[name].reset_all()

    def restart(self, name: str, secs: float) -> None:
        self.hosts[name].stop()
        self._later(secs, self.hosts[name].start)

    def hang(self, name: str, secs: float) -> None:
        self._pace(name, "none", secs)

    def one_away(self, name: str, secs: float, dies_meanwhile: bool) -> None:
        """For long, and the program may be killed meanwhile: the other one gets what is new all the same, and soon."""
        self.outcome.counts["one SIEM away for long"] += 1
        self.hosts[name].stop()
        self._pass_time(secs / 2)
        if dies_meanwhile:
            self.kill()
        fresh = [row for log_type in self.plan.log_types for row in self.duo.publish(log_type, 2)]
        if not self._wait_for(lambda: set(self._missing(fresh)) <= {name}, NEAR_SECS) and self._nothing_else_is_wrong:
            others = {other: rows for other, rows in self._missing(fresh).items() if other != name}
            self._blame(f"a new event waits while {name} is away", others)
        self._pass_time(secs / 2)
        self.hosts[name].start()

    @property
    def _nothing_else_is_wrong(self) -> bool:
        return {action.what for action in self.plan.actions} <= {"publish", ONE_AWAY} and not self.stage.gives_up

    def slow(self, name: str, secs: float) -> None:
        self._pace(name, "slow", secs)

    def _pace(self, name: str, pace: str, secs: float) -> None:
        self.outcome.counts[f"SIEM reads {pace}"] += 1
        self.hosts[name].set_pace(pace)
        self._later(secs, lambda: self.hosts[name].set_pace("all"))

    def refuse(self, name: str, one_in: int, secs: float) -> None:
        self.outcome.counts["SIEM refuses some"] += 1
        self.hosts[name].refuses_one_in = one_in
        self._later(secs, lambda: setattr(self.hosts[name], "refuses_one_in", 0))

    def hang_and_reset(self, name: str, times: int, every_secs: float) -> None:
        """Accepts, does not read, and is reset so many times, all the while."""
        self._pace(name, "none", times * every_secs + 1)
        for number in range(times):
            self._later((number + 1) * every_secs, self.hosts[name].reset_all)

    def goodbye_then_reset(self, name: str, after_secs: float, secs: float) -> None:
        """Hangs, says goodbye with bytes unread, and is gone a little later."""
        self._pace(name, "none", after_secs + secs + 1)
        self._later(after_secs, lambda: self.hosts[name].shut_all(secs))

    def cut_cable(self, name: str, secs: float) -> None:
        self.outcome.counts["cable cut"] += 1
        self.hosts[name].cut_cable()
        self._later(secs, self.hosts[name].put_cable_back)

    def power_of_siem(self, name: str, secs: float) -> None:
        self.outcome.counts["SIEM without power"] += 1
        self.hosts[name].lose_power()
        self._later(secs, self.hosts[name].boot)

    # --- what plans name: the program's machine ----------------------------------------------------------------------

    def kill(self) -> None:
        self.outcome.counts["kill -9"] += 1
        self.stage.kill()

    def kill_at(self, operations: int) -> None:
        self.simulation.arm(operations, self.kill)

    def power_cut_at(self, operations: int) -> None:
        self.simulation.arm(operations, self._power_cut)

    def _power_cut(self) -> None:
        self.outcome.counts["power cut"] += 1
        self.stage.kill(power=True)

    def terminate(self, *, restart: bool = True) -> None:
        self._restart_if_gone()
        self.stage.terminate()
        end = self.simulation.now + GRACE_SECS + 60
        while self.stage.running and self.simulation.now < end:
            self.simulation.sleep(0.5)
        if self.stage.running:
            self.outcome.wrong.append("the program did not end within its grace period")
            self.stage.kill()
        if restart:
            self._restart_if_gone()
        else:
            self.stage.bury()

    def both_die(self) -> None:
        """The program and every SIEM at the same moment."""
        self.outcome.counts["both died"] += 1
        self.stage.kill(power=self.simulation.rng.random() < 0.5)
        for host in self.hosts.values():
            host.reset_all()

    def both_die_at(self, operations: int) -> None:
        self.simulation.arm(operations, self.both_die)

    def clock_jumps(self, offset_secs: float, secs: float) -> None:
        self.outcome.counts["clock jumps"] += 1
        self.simulation.wall_offset_secs = offset_secs
        self._later(secs, lambda: setattr(self.simulation, "wall_offset_secs", 0.0))

    def trouble_of_disk(self, trouble: str, secs: float) -> None:
        self.disk.trouble = trouble
        self._later(secs, lambda: setattr(self.disk, "trouble", ""))

    def flip_a_bit(self, secs: float, count: int) -> None:
        """In a checkpoint, while the program is off."""
        self.away(secs, count)
        self.disk.flip_a_bit("*.json")


_API_HOST = "api-proof.example.com"


def _job(plan: Plan, folder: Path) -> Job:
    account = Account("acme", _API_HOST, "DIPROOF0000000000000", SecretRef("env", "PROOF_SKEY"))
    formats = {"json-siem": Format(JsonOptions()), "cef-siem": Format(CefOptions())}
    return Job(
        accounts=(account,),
        destinations=tuple(
            Destination(name, TcpSettings(f"{name}.example.com", 6514), form, max_message_bytes=MOST_BYTES)
            for name, form in formats.items()
        ),
        routes=(Route(plan.log_types, HOSTS),),
        storage=Storage(str(folder / "checkpoints"), str(folder / "dead-letters")),
        reading=Reading(start_days=1.0, poll_interval_secs=20.0, lag_secs=10.0, overlap_secs=600.0),
    )


class _Record(logging.Handler):
    """Keeps what the program says, and what it says of bugs."""

    def __init__(self, simulation: Simulation, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._simulation = simulation
        self._lines = lines
        self.bugs: list[str] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hears the program, and keeps it from the terminal."""
        loggers = [logging.getLogger("duologsync")]
        before = [(logger, logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.addHandler(self)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        try:
            yield
        finally:
            for logger, level, propagate in before:
                logger.removeHandler(self)
                logger.setLevel(level)
                logger.propagate = propagate

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{self._simulation.now:9.3f} {record.levelname:7} {record.getMessage()}"
        self._lines.append(text)
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
            self.bugs.append(text)
