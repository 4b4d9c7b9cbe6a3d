"""What goes wrong in production, once with real processes: each scenario runs to its end and says what was lost and repeated.

Place: the tests assert on the outcomes, ``benchmarks.recovery`` prints them. Moments are random on purpose: nobody chooses when
a machine loses power. The seed is in the outcome, so that a bad moment can be looked for again.
"""

from __future__ import annotations

import ctypes
import ipaddress
import random
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import Self

from pipelines.demo.receiver import SiemReceiver
from tests.proof.chaos import Siem as SiemProcess
from tests.servers.harness import (
    Duo,
    Program,
    assert_checkpoints_readable,
    checkpoints,
    missing,
    now_ms,
    repeated,
    tcp,
    wait_for_all,
    wait_until,
    write_config,
)
from tests.servers.rsyslog import Listener, Rsyslog
from transforms.duo.io import PAGES_PER_BUNDLE
from transforms.duo.log_types import LOG_TYPES
from transforms.records import Stream, Subscription
from transforms.state.checkpoints.local import CheckpointStore
from transforms.state.cursor import Cursor

_SETTLE_SECS = 0.5
_CLONE_NEWNET = 0x40000000


@dataclass
class Outcome:
    """How a scenario ended.

    Attributes:
      events: how many were produced. lost, repeated: of them, in total.
      blows: how often it was killed, cut off, restarted.
      worst_repeat: the most that repeated of one log type after one blow.
      exit_codes: of the orderly ends.
    """

    name: str
    events: int
    blows: int
    lost: int
    repeated: int
    worst_repeat: int = 0
    exit_codes: list[int] = field(default_factory=list)
    seed: int = 0
    log: str = ""


def most_in_a_bundle(log_type: str) -> int:
    """What one crash may repeat of one stream."""
    return PAGES_PER_BUNDLE * LOG_TYPES[log_type].page_limit


def killed_while_draining(folder: Path, *, kills: int = 20, backlog: int = 60_000) -> Outcome:
    """kill -9 at random moments: while it starts, reads, and waits for a SIEM that is slow."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    with Duo(folder) as duo, SiemReceiver() as siem:
        counts = {"auth": backlog * 2 // 3, "activity": backlog // 3}
        duo.add_backlog(counts)
        config = write_config(folder, duo, [tcp(siem.port)], log_types=counts, page_pause_secs=0.15)
        before, worst = dict.fromkeys(counts, 0), 0
        with Program(folder, "run", config) as program:
            for number in range(kills):
                _let_it_work(rng, siem, number)
                duo.simulator.add("auth", 20, spread_ms=5)
                duo.simulator.add("activity", 5)
                program.kill()
                siem.resume()
                wait_until(lambda: not siem.connected(), "the killed program's connections to be read to their end")
                after = dict.fromkeys(counts, 0) | repeated(siem)
                worst = max(worst, *(after[t] - before[t] for t in counts))
                before = after
                assert_checkpoints_readable(folder)
                program.start()
            wait_for_all(duo, siem, counts, program)
            worst = max(worst, *(n - before[t] for t, n in repeated(siem).items()))
            code = program.end()
        return _outcome("kill -9 at random moments", duo, siem, program, kills, worst=worst, codes=[code], seed=seed)


def _let_it_work(rng: random.Random, siem: SiemReceiver, number: int) -> None:
    """One of three moments to be killed at."""
    moment = number % 3
    if moment == 0:
        time.sleep(rng.uniform(0.3, 1.5))  # maybe before it has sent anything
        return
    wait_until(siem.connected, "a connection")
    if moment == 1:
        time.sleep(rng.uniform(0, 0.8))
        return
    siem.stall()  # its buffers fill, so that it is killed with a bundle half sent
    time.sleep(rng.uniform(0.2, 1.0))


def asked_to_end_while_draining(folder: Path, *, ends: int = 6, backlog: int = 60_000) -> Outcome:
    """SIGTERM and SIGINT in turn, in the middle of a drain."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    with Duo(folder) as duo, SiemReceiver() as siem:
        counts = {"auth": backlog // 2, "activity": backlog // 3, "telephony": backlog // 6}
        duo.add_backlog(counts)
        # Slow enough that it is never caught up when it is asked, fast enough to be within the grace period when it is not.
        config = write_config(folder, duo, [tcp(siem.port)], log_types=counts, page_pause_secs=0.4)
        codes = []
        with Program(folder, "run", config) as program:
            for number in range(ends):
                at_start = siem.total()
                wait_until(lambda at_start=at_start: siem.total() > at_start, "the first events of this launch")
                time.sleep(rng.uniform(0, 0.8))
                assert missing(duo.produced(counts), siem), "the backlog is too small: it was drained already"
                codes.append(program.end((signal.SIGTERM, signal.SIGINT)[number % 2]))
                program.start()
            duo.simulator.add("auth", 50)
            wait_for_all(duo, siem, counts, program)
            codes.append(program.end())
        return _outcome("SIGTERM and SIGINT in mid-drain", duo, siem, program, ends, codes=codes, seed=seed)


def siem_restarted(folder: Path, *, backlog: int = 40_000) -> Outcome:
    """A real rsyslog is restarted twice under load, and once it hangs and is killed."""
    with Duo(folder) as duo, Rsyslog(folder / "rsyslog", [Listener("tcp")]) as siem:
        counts = {"auth": backlog // 2, "activity": backlog // 2}
        duo.add_backlog(counts)
        config = write_config(folder, duo, [tcp(siem.port("tcp"))], log_types=counts, page_pause_secs=0.1)
        with Program(folder, "run", config) as program:
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
                size = siem.size("tcp")
                wait_until(lambda size=size: siem.size("tcp") > size + 1_000_000, "rsyslog to write under load")
                if number == signal.SIGKILL:
                    siem.freeze()  # what its kernel acknowledges from now on it will never have read
                    time.sleep(_SETTLE_SECS)
                siem.stop(number)
                time.sleep(_SETTLE_SECS)
                siem.start()
            expected = sum(len(ids) for ids in duo.produced(counts).values())
            wait_until(lambda: sum(map(len, siem.ids("tcp").values())) >= expected, "all events in rsyslog's file")
            code = program.end()
        arrived, times = siem.ids("tcp"), siem.messages_per_log_type("tcp")
        lost = sum(len(ids - arrived.get(t, set())) for t, ids in duo.produced(counts).items())
        again = sum(times[t] - len(ids) for t, ids in arrived.items())
        return Outcome(
            "rsyslog restarted under load, once killed while it hung",
            expected,
            3,
            lost,
            again,
            exit_codes=[code],
            log=program.log(),
        )


def half_dead_siem(folder: Path, *, blows: int = 4, backlog: int = 40_000) -> Outcome:
    """A SIEM that accepts, reads nothing, and later resets: all that its kernel had acknowledged is gone."""
    with Duo(folder) as duo, SiemReceiver() as siem:
        counts = {"auth": backlog // 2, "activity": backlog // 2}
        duo.add_backlog(counts)
        # Slow enough for every blow to fall while something is sent: a quiet connection is ended.
        config = write_config(folder, duo, [tcp(siem.port)], log_types=counts, page_pause_secs=0.5)
        with Program(folder, "run", config) as program:
            for _ in range(blows):
                wait_until(siem.connected, "a connection")
                time.sleep(_SETTLE_SECS)
                siem.stall()
                time.sleep(2 * _SETTLE_SECS)
                siem.reset_connections()
                siem.resume()
            wait_for_all(duo, siem, counts, program)
            code = program.end()
        return _outcome("half-dead SIEM: accepts, reads nothing, resets", duo, siem, program, blows, codes=[code])


def both_die(folder: Path, *, program_first: bool, unread: int = 30) -> Outcome:
    """Program and SIEM are killed at the same moment, while the SIEM's kernel holds what it acknowledged and nobody read.

    The checkpoint is ahead of the SIEM then, and nothing but its safe position knows. So few events, because a kernel
    acknowledges no more than its buffer holds: 300 did not always fit, and rightly no checkpoint came.
    """
    with Duo(folder) as duo:
        siem = SiemProcess(folder, receive_bytes=None)
        siem.start()
        duo.add_backlog({"auth": 1_000})
        config = write_config(folder, duo, [tcp(siem.port)], log_types=["auth"])
        with Program(folder, "run", config) as program:
            wait_until(lambda: len(siem.ids()) == 1_000, "the first events")
            siem.say("hang")
            duo.simulator.add("auth", unread)
            wait_until(lambda: [r.delivered for r in checkpoints(folder)] == [1_000 + unread], "a checkpoint behind all events")
            assert len(siem.ids()) == 1_000
            for kill in (program.kill, siem.kill) if program_first else (siem.kill, program.kill):
                kill()
            siem.start()
            program.start()
            produced = set().union(*duo.produced(["auth"]).values())
            wait_until(lambda: produced <= set(siem.ids()), "every event")
            code = program.end()
        siem.kill()
        stored = siem.ids()
        lost = len(produced - set(stored))
        repeats = stored.total() - len(stored)
        return Outcome("program and SIEM die together", len(produced), 1, lost, repeats, repeats, [code], log=program.log())


def stalled_siem(folder: Path, *, stalls: int = 3, backlog: int = 40_000) -> Outcome:
    """A SIEM that stops reading for a while; another one, which does not, gets its own log type meanwhile."""
    with Duo(folder) as duo, SiemReceiver() as siem, SiemReceiver() as other:
        counts = {"auth": backlog, "activity": 6_000}
        duo.add_backlog(counts)
        routes = [
            {"log_types": ["auth"], "destinations": ["siem"]},
            {"log_types": ["activity"], "destinations": ["other"]},
        ]
        config = write_config(folder, duo, [tcp(siem.port), tcp(other.port, "other")], routes=routes, page_pause_secs=0.05)
        with Program(folder, "run", config) as program:
            wait_until(siem.total, "the first events")
            siem.stall()
            # The whole of the other log arrives while this one stands still.
            assert other.wait_for(6_000, 60), f"the other destination was held up:\n{program.log()[-2000:]}"
            for _ in range(stalls):
                siem.resume()
                time.sleep(_SETTLE_SECS)
                siem.stall()
                duo.simulator.add("activity", 10)
                wait_until(lambda: not missing(duo.produced(["activity"]), other), "new events at the other destination")
            siem.resume()
            wait_for_all(duo, siem, ["auth"], program)
            code = program.end()
        outcome = _outcome("SIEM stops reading for a while", duo, siem, program, stalls + 1, codes=[code], others=[other])
        outcome.repeated += sum(repeated(other).values())
        return outcome


def silent_siem(folder: Path, *, backlog: int = 20_000) -> Outcome:
    """The cable to the SIEM is pulled in mid-drain: no reset, no acknowledgement, nothing. Later it is put back."""
    with Duo(folder) as duo, Cable("duologsync") as cable, cable.siem() as siem:
        counts = {"auth": backlog // 2, "activity": backlog // 2}
        duo.add_backlog(counts)
        config = write_config(folder, duo, [tcp(siem.port, host=siem.host)], log_types=counts, page_pause_secs=0.1)
        with Program(folder, "run", config) as program:
            wait_until(lambda: siem.total() > 2_000, "the first events")
            cable.pull()
            # The kernel itself would go on for a quarter of an hour.
            wait_until(
                lambda: ("is away" in program.log() or "is stalled" in program.log()) and not cable.established(siem.port),
                "the silent connections to be given up",
            )
            cable.put_back()
            wait_for_all(duo, siem, counts, program)
            code = program.end()
        return _outcome("half-dead SIEM: acknowledges nothing any more", duo, siem, program, 1, codes=[code])


def one_millisecond(folder: Path, *, kills: int = 3) -> Outcome:
    """3,000 events share one millisecond, over page and window borders; killed and restarted between."""
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    log_types = ["auth", "activity", "telephony"]
    with Duo(folder) as duo, SiemReceiver() as siem:
        at_ms = now_ms() - 60_000
        for log_type in log_types:
            duo.simulator.add(log_type, 10, at_ms=at_ms - 1_000)
            duo.simulator.add(log_type, 3_000, at_ms=at_ms)
            duo.simulator.add(log_type, 10, at_ms=at_ms + 1)
        _end_a_window_at(folder, log_types, at_ms)
        config = write_config(folder, duo, [tcp(siem.port)], log_types=log_types, page_pause_secs=0.5)
        with Program(folder, "run", config) as program:
            for _ in range(kills):
                at_start = siem.total()
                wait_until(lambda at_start=at_start: siem.total() > at_start, "events of this launch")
                time.sleep(rng.uniform(0, 0.6))
                program.kill()
                assert_checkpoints_readable(folder)
                program.start()
            wait_for_all(duo, siem, log_types, program)
            duo.simulator.add("auth", 10)
            wait_for_all(duo, siem, log_types, program)
            codes = [program.end()]
            before = repeated(siem)
            # The next launch begins in an ordinary window: nothing of the millisecond may come once more.
            program.start()
            duo.simulator.add("auth", 10)
            wait_for_all(duo, siem, log_types, program)
            codes.append(program.end())
        worst = max(repeated(siem).values())
        outcome = _outcome("3,000 events in one millisecond", duo, siem, program, kills, worst=worst, codes=codes, seed=seed)
        assert repeated(siem) == before
        return outcome


def _end_a_window_at(folder: Path, log_types: list[str], at_ms: int) -> None:
    """Checkpoints in the middle of reading, whose window ends exactly in the crowded millisecond, as chance may have it."""
    store = CheckpointStore(folder / "checkpoints")
    store.open()
    for log_type in log_types:
        store.commit(
            Subscription(Stream("main", log_type, "localhost"), "siem"), Cursor(at_ms - 2_000, maxtime_ms=at_ms, seq=1)
        )


class Cable:
    """A network of its own for a SIEM, with a cable that can be pulled. Needs root and iproute2."""

    HOST, SIEM = "10.213.77.1", "10.213.77.2"

    def __init__(self, name: str) -> None:
        self.name, self._ours, self._theirs = name, f"{name}a", f"{name}b"

    @staticmethod
    def possible() -> bool:
        """Whether this machine lets us make networks."""
        name = "duologsync-try"
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
        if made:
            _ip("netns", "del", name)
        return made

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        _ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs, "netns", self.name)
        _ip("addr", "add", f"{self.HOST}/30", "dev", self._ours)
        _ip("link", "set", self._ours, "up")
        _ip("-n", self.name, "addr", "add", f"{self.SIEM}/30", "dev", self._theirs)
        self.put_back()
        return self

    def __exit__(self, *_exc: object) -> None:
        subprocess.run(["ip", "link", "del", self._ours], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def siem(self) -> SiemReceiver:
        """A receiver at the other end."""
        siem = SiemReceiver(host=self.SIEM)
        # A socket stays in the network that the thread which made it was in.
        thread = threading.Thread(target=self._start_there, args=(siem,))
        thread.start()
        thread.join()
        assert siem.port
        return siem

    def _start_there(self, siem: SiemReceiver) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/run/netns/{self.name}").open("rb") as network:
            if libc.setns(network.fileno(), _CLONE_NEWNET) == 0:
                siem.start()

    def established(self, port: int) -> int:
        """Connections from here to the SIEM that are open in this machine's eyes."""
        address = f"{int.from_bytes(ipaddress.ip_address(self.SIEM).packed, 'little'):08X}:{port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return sum(line.split()[2] == address and line.split()[3] == "01" for line in lines)

    def pull(self) -> None:
        _ip("-n", self.name, "link", "set", self._theirs, "down")

    def put_back(self) -> None:
        _ip("-n", self.name, "link", "set", self._theirs, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)


def _outcome(
    name: str,
    duo: Duo,
    siem: SiemReceiver,
    program: Program,
    blows: int,
    *,
    worst: int = 0,
    codes: list[int] | None = None,
    others: list[SiemReceiver] | None = None,
    seed: int = 0,
) -> Outcome:
    produced = duo.produced()
    return Outcome(
        name,
        sum(map(len, produced.values())),
        blows,
        sum(missing(produced, siem, *(others or [])).values()),
        sum(repeated(siem).values()),
        worst,
        codes or [],
        seed,
        program.log(),
    )
