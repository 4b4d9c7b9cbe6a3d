"""Blows at real processes, at random moments: ``tests/run.sh proof --chaos --minutes 30``.

Place: beside the simulated histories, which see more; here nothing is simulated but Duo, whose simulator runs in this process.
The program runs as its users run it, and the SIEM (``siem_process``) is a process of its own, so that both can be killed,
stopped, or die at the same moment, with bytes unread in the kernel.

Contract: ``torment`` gives an ``Outcome``. ``lost`` counts the events that the SIEM's application never stored and that are no
dead letter, after all blows are over and time has passed. Moments depend on the machine: a seed gives the same blows, but not
the same history.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipelines import exit_codes
from tests.ports import free_port
from tests.servers.harness import Duo, Program, dead_letters, tcp, write_config

LOG_TYPES = ("auth", "activity")
_PATIENCE_SECS = 300.0
_SCRIPT = Path(__file__).with_name("siem_process.py")
_ID = re.compile(rb'"(?:txid|activity_id)": ?"([^"]+)"')
_FAULTS = (
    {"kind": "status", "status": 503}, {"kind": "status", "status": 429, "retry_after": 1}, {"kind": "html"}, {"kind": "reset"},
    {"kind": "malformed_json"}, {"kind": "cut_body"}, {"kind": "reset_mid_body"}, {"kind": "empty_page"},
    {"kind": "hang", "secs": 3}, {"kind": "status", "status": 400, "code": 40002},
)  # fmt: skip


@dataclass
class Outcome:
    """What a torment came to. ``wrong``: what else was not as it should be."""

    seed: int
    produced: int = 0
    lost: int = 0
    repeated: int = 0
    dead: int = 0
    blows: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    log: str = ""

    def __str__(self) -> str:
        blows = ", ".join(f"{count} {name}" for name, count in sorted(self.blows.items()))
        events = f"{self.produced:,} events, {self.lost:,} lost, {self.repeated:,} repeated, {self.dead:,} dead letters"
        lines = (
            f"seed {self.seed}: {events}",
            f"{self.blows.total()} blows: {blows}",
            *self.wrong,
        )
        return "\n".join(lines)


class Siem:
    """The SIEM's process, which can be started again, and what it has stored over all of its lives."""

    def __init__(self, folder: Path, receive_bytes: int | None) -> None:
        self.stored = folder / "stored"
        self.port = free_port()
        self._arguments = [str(self.port), str(self.stored), *([str(receive_bytes)] if receive_bytes else [])]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen([sys.executable, str(_SCRIPT), *self._arguments], stdin=subprocess.PIPE)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def say(self, word: str) -> None:
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()

    def ids(self) -> Counter[str]:
        return Counter(self.stored.read_text().split()) if self.stored.exists() else Counter()


class Chaos:
    """One torment."""

    def __init__(self, folder: Path, duo: Duo, siem: Siem, program: Program, rng: random.Random, outcome: Outcome) -> None:
        self._folder = folder
        self._duo = duo
        self._siem = siem
        self._program = program
        self._rng = rng
        self._outcome = outcome
        self._blows: dict[str, tuple[float, Callable[[], None]]] = {
            "program killed": (3, self._kill),
            "program stopped for a while": (1, self._stop_program),
            "program asked to end": (1.5, self._terminate),
            "SIEM killed": (2, self._kill_siem),
            "SIEM away for a while": (1, self._siem_away),
            "SIEM stopped for a while": (1, self._stop_siem),
            "connections reset": (2, lambda: self._siem.say("reset")),
            "SIEM hangs": (2, self._hang),
            "SIEM hangs and is killed": (2, self._half_dead),
            "goodbye without reading, then killed": (1, self._goodbye),
            "both die": (3, self._both),
            "Duo fails": (3, self._fault),
        }

    def go_on(self, secs: float) -> None:
        """Blow after blow."""
        names = list(self._blows)
        weights = [self._blows[name][0] for name in names]
        end = time.monotonic() + secs
        while time.monotonic() < end:
            self._let_it_work()
            name = self._rng.choices(names, weights)[0]
            self._outcome.blows[name] += 1
            self._blows[name][1]()

    def _let_it_work(self) -> None:
        self._siem.start()
        self._siem.say("read")
        if not self._program.running:
            self._program.start()
        # One in three blows comes early: the program takes a second to load, and then begins where it was.
        secs = self._rng.choice((self._rng.uniform(0.0, 1.5), self._rng.uniform(1.5, 3.0), self._rng.uniform(2.0, 5.0)))
        for _ in range(4):
            for log_type in LOG_TYPES:
                self._duo.simulator.add(log_type, self._rng.choice((1, 20, 200)), spread_ms=50)
            time.sleep(secs / 4)
        if not self._program.running:
            self._outcome.wrong.append(f"the program ended by itself with exit code {self._program.wait()}")

    # --- blows -------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        if self._program.running:
            self._program.kill()

    def _stop_program(self) -> None:
        self._pause(self._program.send, self._rng.uniform(0.2, 4.0))

    def _terminate(self) -> None:
        if self._program.running:
            if self._rng.random() < 0.5:
                self._siem.say("hang")
            code = self._program.end()
            # A process that is still loading ends as the kernel ends it.
            if code not in (exit_codes.OK, exit_codes.DELIVERY, -signal.SIGTERM):
                self._outcome.wrong.append(f"asked to end, it came to exit code {code}")

    def _kill_siem(self) -> None:
        self._siem.kill()

    def _siem_away(self) -> None:
        self._siem.kill()
        time.sleep(self._rng.uniform(0.5, 5.0))

    def _stop_siem(self) -> None:
        self._pause(self._siem.send, self._rng.uniform(0.2, 4.0))

    @staticmethod
    def _pause(tell: Callable[[int], None], secs: float) -> None:
        tell(signal.SIGSTOP)
        time.sleep(secs)
        tell(signal.SIGCONT)

    def _hang(self) -> None:
        self._siem.say("hang")
        time.sleep(self._rng.uniform(0.5, 8.0))

    def _half_dead(self) -> None:
        self._hang()
        self._siem.kill()

    def _goodbye(self) -> None:
        self._siem.say("hang")
        time.sleep(self._rng.uniform(0.1, 1.0))
        self._siem.say("goodbye")
        time.sleep(self._rng.uniform(0.0, 1.5))
        self._siem.kill()

    def _both(self) -> None:
        if self._rng.random() < 0.6:
            self._hang()
        first, second = self._rng.sample((self._kill, self._siem.kill), 2)
        first()
        second()

    def _fault(self) -> None:
        self._duo.simulator.faults.add(**{"times": self._rng.choice((1, 2)), **self._rng.choice(_FAULTS)})

    # --- the end -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """All is well again: whatever was produced must arrive; and the end must be in good order."""
        self._duo.simulator.faults.clear()
        self._siem.start()
        self._siem.say("read")
        if not self._program.running:
            self._program.start()
        for log_type in LOG_TYPES:
            self._duo.simulator.add(log_type, 5)
        deadline = time.monotonic() + _PATIENCE_SECS
        while self._missing() and time.monotonic() < deadline and self._program.running:
            time.sleep(1.0)
        stored = self._siem.ids()
        self._outcome.produced = sum(map(len, self._duo.produced(LOG_TYPES).values()))
        self._outcome.lost = len(self._missing())
        self._outcome.repeated = stored.total() - len(stored)
        self._outcome.dead = len(dead_letters(self._folder))
        code = self._program.end()
        if code != exit_codes.OK:
            self._outcome.wrong.append(f"the last end came to exit code {code}")
        if "Traceback" in (log := self._program.log()):
            self._outcome.wrong.append("the log has a traceback")
        self._outcome.log = log

    def _missing(self) -> set[str]:
        produced = set().union(*self._duo.produced(LOG_TYPES).values())
        letters = (
            found.decode() for letter in dead_letters(self._folder) for found in _ID.findall(letter.raw or letter.message)
        )
        return produced - self._siem.ids().keys() - set(letters)


def torment(folder: Path, secs: float, seed: int, backlog: int = 20_000) -> Outcome:
    """So many seconds of blows, and what is left of the events."""
    rng, outcome = random.Random(seed), Outcome(seed)
    siem = Siem(folder, rng.choice((None, None, 64 * 1024, 8 * 1024)))
    with Duo(folder) as duo:
        duo.add_backlog(dict.fromkeys(LOG_TYPES, backlog // 2))
        config = write_config(folder, duo, [tcp(siem.port)], log_types=LOG_TYPES, page_pause_secs=0.05)
        program = Program(folder, "run", config)
        try:
            chaos = Chaos(folder, duo, siem, program, rng, outcome)
            chaos.go_on(secs)
            chaos.settle()
        finally:
            program.destroy()
            siem.start()
            siem.kill()
    return outcome


def main(minutes: float, seed: int | None) -> int:
    """Torments of five minutes each, in new folders; exit code 1 where anything was lost or wrong."""
    end, total, bad = time.monotonic() + minutes * 60, Outcome(seed or 0), 0
    seed = seed if seed is not None else random.SystemRandom().randrange(2**31)
    while (left := end - time.monotonic()) > 10:
        with tempfile.TemporaryDirectory(prefix="duologsync-chaos-") as folder:
            outcome = torment(Path(folder), min(left, 300.0), seed)
        print(outcome, flush=True)
        if outcome.lost or outcome.wrong:
            bad += 1
            kept = Path(tempfile.gettempdir()) / f"duologsync-chaos-{seed}.log"
            kept.write_text(outcome.log)
            print(f"the program's log is in {kept}", flush=True)
        total.produced += outcome.produced
        total.lost += outcome.lost
        total.repeated += outcome.repeated
        total.dead += outcome.dead
        total.blows += outcome.blows
        seed += 1
    print(f"in total, {total}")
    return 1 if bad else 0
