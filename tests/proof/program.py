"""The program under test as a process of the simulation: ``run_local`` with all its threads, over simulated time and I/O.

Place: between the world (``duo``, ``siem``, ``disk``) and a history. All is the program's own code but for three things: the
HTTP exchange (``duo.client_of``), the sockets (``connection``), and Beam's in-process runner. In its place ``_FusedStage`` does
what it does with our steps, some hundred times faster, and can be told to give up bundles and to finalize late.

Contract: ``Stage`` puts the simulation in the place of ``time``, ``threading`` and ``os`` for the modules of the program, and
takes it away again. A new process starts with ``lifetime.reset``: nothing is closed, because its threads were killed.
"""

from __future__ import annotations

import email.utils
import importlib
import logging
import os
import pkgutil
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any
from unittest import mock

from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

import pipelines.local
import transforms
from pipelines.local import stream_runner, supervisor
from tests.proof.connection import connector
from tests.proof.disk import Disk
from tests.proof.duo import PATHS, Duo, client_of
from tests.proof.fakes import FakeThreading, FakeTime, InlineExecutor
from tests.proof.rejecting import RejectingSender
from tests.proof.siem import Host, Wire
from tests.proof.simulation import Group, Simulation
from transforms import destinations
from transforms.coders import SplitPages
from transforms.destinations import Kind, Sender, circuit_breaker
from transforms.destinations.sink import SendToDestination
from transforms.destinations.stream.settings import TcpSettings
from transforms.destinations.stream.tuning import Tuning
from transforms.duo.fetch import feed
from transforms.duo.io import PAGES_PER_BUNDLE
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.rate_limit import budgets
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import RetryLater
from transforms.formats.apply import FormatBatches
from transforms.process import descriptors, lifetime, pass_slots
from transforms.process.shutdown import FAILURES, STOP
from transforms.settings import Destination, Job
from transforms.state.dead_letters.letter import DEAD
from transforms.state.dead_letters.write import WriteDeadLetters

GRACE_SECS = 30.0


def _modules() -> list[ModuleType]:
    """Every module of the program that can be loaded here."""
    for package in (transforms, pipelines.local):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(found.name)
    return [m for name, m in sorted(sys.modules.items()) if name.partition(".")[0] in ("transforms", "pipelines")]


_MODULES = _modules()


class _FusedStage(stream_runner.StreamRunner):
    """One stream on its way to one destination in a local run, with the fused stage run here instead of in Beam."""

    def _run_pass(self) -> None:
        try:
            self._pass()
            self._backoff.succeeded()
            self.fatal = None
        except Exception as error:
            self._handle_failure(FAILURES.take(self.subscription) or error)

    def _pass(self) -> None:
        stage: Stage = _STAGE[0]
        coder = self._source.get_checkpoint_mark_coder()
        letters = WriteDeadLetters(self._job.storage.dead_letter_dir)
        steps = (FormatBatches(self._destination.format, self._destination.name), SendToDestination(self._destination), letters)
        for step in steps[:2]:
            step.setup()
        mark, late = None, []
        while True:
            reader = self._source.create_reader(None, mark)
            self._bundle(reader, steps)
            ended = reader.get_watermark() == MAX_TIMESTAMP
            encoded = coder.encode(reader.get_checkpoint_mark())
            reader.close()
            mark = coder.decode(encoded)
            if stage.chance("a bundle given up after delivery", stage.gives_up):
                raise RetryLater("The runner gave the bundle up.", kind="runner")
            late.append(mark)
            if not stage.chance("a late finalizer", stage.finalizes_late):
                self._finalize(late)
            if ended:
                break
        stage.simulation.rng.shuffle(late)
        stage.counts["finalizers in another order"] += len(late) > 1
        self._finalize(late)

    @staticmethod
    def _finalize(marks: list[Any]) -> None:
        while marks:
            mark = marks.pop(0)
            if not _STAGE[0].chance("a finalizer that never comes", _STAGE[0].drops_finalizers):
                mark.finalize_checkpoint()

    def _bundle(self, reader: Any, steps: tuple[Any, ...]) -> None:
        for step in steps:
            step.start_bundle()
        pages, more = 0, reader.start()
        while more:
            for batch in SplitPages().process(reader.get_current()):
                _through(steps, batch)
            pages += 1
            if _STAGE[0].chance("a bundle given up in its middle", _STAGE[0].gives_up):
                raise RetryLater("The runner gave the bundle up.", kind="runner")
            more = pages < PAGES_PER_BUNDLE and reader.advance()
        formatting, sending, letters = steps
        formatting.finish_bundle()
        for rejected in sending.finish_bundle():
            letters.process(rejected.value.value)
        letters.finish_bundle()


def _through(chain: Any, batch: Any) -> None:
    formatting, sending, letters = chain
    for made in formatting.process_batch(batch):
        if getattr(made, "tag", "") == DEAD:
            for letter in made.value:
                letters.process(letter)
        else:
            sending.process_batch(made, _AT)


_AT = Timestamp(0)
_STAGE: list[Any] = []


class Stage:
    """Where processes run. ``gives_up``, ``finalizes_late``, ``drops_finalizers``: how likely the runner does so."""

    def __init__(self, simulation: Simulation, duo: Duo, hosts: dict[str, Host], disk: Disk, job: Job) -> None:
        self.simulation = simulation
        self.duo = duo
        self.hosts = hosts
        self.disk = disk
        self.job = job
        self.gives_up = self.finalizes_late = self.drops_finalizers = 0.0
        self._time = FakeTime(simulation)
        self._threading = FakeThreading(simulation)
        self.tuning = Tuning(ack_poll_max_secs=0.5)
        self.counts: Counter[str] = Counter()
        self.group: Group | None = None
        self.exit_codes: list[int] = []
        self._alive: list[tuple[object, Wire]] = []
        self._launches = 0
        self._handlers = list(logging.getLogger().handlers)

    def chance(self, name: str, probability: float) -> bool:
        happens = probability > 0 and self.simulation.rng.random() < probability
        self.counts[name] += happens
        return happens

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts, the program's modules live in the simulation."""
        simulation = self.simulation
        with ExitStack() as patches:
            put = lambda target, name, value: patches.enter_context(mock.patch.object(target, name, value))  # noqa: E731
            for module in _MODULES:
                if getattr(module, "time", None) is time:
                    put(module, "time", self._time)
                if getattr(module, "threading", None) is threading:
                    put(module, "threading", self._threading)
                if hasattr(module, "ThreadPoolExecutor"):
                    put(module, "ThreadPoolExecutor", InlineExecutor(simulation))
            put(email.utils, "time", self._time)  # with it duo_client dates what it signs
            put(feed, "DuoClient", client_of(self.duo))
            put(supervisor, "StreamRunner", _FusedStage)
            put(supervisor, "end_bundles_at_once", lambda: None)
            put(descriptors, "raise_limit", descriptors.limit)
            put(budgets, "RateBudget", partial(RateBudget, now=self._time.monotonic))
            put(os, "getpid", lambda: 4000 + self._launches)
            put(logging.getLogger(), "handlers", list(self._handlers))
            for module, name in ((circuit_breaker, "_Breaker"), (pass_slots, "_SlotRequest")):
                put(module, name, _with_events(getattr(module, name), self._threading))
            patches.enter_context(mock.patch.dict(destinations.KINDS, tcp=Kind(TcpSettings, self._sender)))
            small = {name: replace(LOG_TYPES[name], page_limit=self.duo.most_rows(name)) for name in PATHS.values()}
            patches.enter_context(mock.patch.dict(LOG_TYPES, small))
            patches.enter_context(mock.patch.dict(os.environ, {"PROOF_SKEY": "0" * 40}))
            patches.enter_context(self.disk.in_place())
            _STAGE[:] = [self]
            random.seed(simulation.rng.random())
            try:
                yield
            finally:
                if self.group is not None:
                    self.kill()
                lifetime.reset(close=False)
        lifetime.reset(close=False)  # once more, with locks that are no longer the simulation's

    def _sender(self, destination: Destination[TcpSettings]) -> Sender:
        host = self.hosts[destination.name]
        return RejectingSender(host, destination, connector(self.simulation, host, self._alive), self.tuning)

    # --- processes ---------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.group is not None and self.group.alive

    def launch(self) -> None:
        """A new process, which knows nothing of the one before."""
        self._launches += 1
        lifetime.reset(close=False)
        logging.getLogger().handlers[:] = self._handlers  # none of a process that was killed
        self.group = Group(f"process {self._launches}")
        self.simulation.spawn(self._main, "main", self.group)

    def _main(self) -> None:
        group = self.simulation.current.group
        try:
            self.exit_codes.append(supervisor.run_local(self.job, grace_secs=GRACE_SECS))
        finally:
            # Daemon threads end with the main thread, wherever they are.
            self.simulation.kill(group)
            self._close(group)

    def terminate(self) -> None:
        """SIGTERM."""
        if self.running and not self.group.dead:
            self.counts["SIGTERM"] += 1
            STOP.request(GRACE_SECS)

    def kill(self, *, power: bool = False) -> None:
        """kill -9, or a power cut: then the kernel does not live on to send what it has, and the disk loses what it may."""
        group = self.group
        if group is None:
            return
        self.simulation.kill(group)
        self._close(group, power=power)
        if power:
            self.disk.lose_power()

    def bury(self) -> None:
        """Waits until the killed process is no more. Only the director may."""
        if self.group is not None:
            self.simulation.bury(self.group)

    def _close(self, group: Group, *, power: bool = False) -> None:
        for of, wire in self._alive:
            if of is group and power:
                wire.unacknowledged.clear()
            elif of is group:
                wire.sender_ended = True
                wire.move()
        self._alive = [pair for pair in self._alive if pair[0] is not group]
        self.disk.close_all(group)


def _with_events(kind: type, threads: FakeThreading) -> type:
    """A dataclass whose events are the simulation's: the default of a field is bound when the class is made."""

    class OfSimulation(kind):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            for name in ("granted", "looked"):
                if hasattr(self, name):
                    setattr(self, name, threads.Event())

    return OfSimulation
