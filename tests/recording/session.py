"""What the recording shows: the real program, from a configuration to the end, with a SIEM that goes away in between.

Contract: Duo's simulator and a receiver stand for the outside, on loopback; all else is as a user has it. What a screen shows
is what was written in this run, and nothing is put in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pipelines.demo.receiver import SiemReceiver
from tests.ports import free_port
from tests.recording.svg import Screen
from tests.recording.terminal import Command
from tests.servers.harness import HOUR_MS, Duo, now_ms, tcp, wait_until

_EVENTS = {"auth": 3000, "activity": 400, "telephony": 60, "trustmonitor": 20}
_PROMPT = "\x1b[1;36m$\x1b[0m "


def screens(folder: Path) -> Iterator[Screen]:
    """Runs it all; about a minute."""
    with Duo(folder) as duo, SiemReceiver() as siem:
        for log_type, count in _EVENTS.items():
            duo.simulator.add_backlog(log_type, count, now_ms() - 40 * HOUR_MS, now_ms() - 6000)
        _configure(folder, duo, siem.port)
        yield from _asked(folder, "Is the file right?", "validate", 4)
        yield from _asked(folder, "Does Duo answer, and the SIEM?", "check", 4)
        with Command(folder, "config.yml") as run:
            wait_until(lambda: siem.total() >= 0.99 * sum(_EVENTS.values()), "nearly all has arrived")
            said = run.shown(for_secs=8)
            yield Screen(_typed("Then it runs, by itself, until it is asked to end.", "config.yml"), 1.5)
            yield Screen(_typed("Then it runs, by itself, until it is asked to end.", "config.yml") + said, 5)
            yield from _asked(folder, "How is it doing?", "status", 5)
            siem.stop()
            duo.simulator.add("auth", 50, at_ms=now_ms() - 6000)
            wait_until(lambda: "is away" in run.shown(for_secs=1), "it has found out")
            yield from _asked(folder, "The SIEM is away. Nothing is lost: events wait.", "status", 6)
            siem.start()
            wait_until(lambda: "is back" in run.shown(for_secs=1), "it goes on")
            run.shown(for_secs=8)
            yield from _asked(folder, "It is back, and so is every event.", "status", 5)
            yield from _asked(folder, "Did all of yesterday arrive? The answer is kept, for an auditor.", "audit", 6)
            before = len(run.shown(for_secs=0))
            run.end()
            yield Screen(_typed("And at the end:", "config.yml") + "^C\n" + run.shown()[before:].lstrip("\n"), 7)


def _asked(folder: Path, why: str, verb: str, secs: float) -> Iterator[Screen]:
    typed = _typed(why, f"{verb} config.yml")
    with Command(folder, verb, "config.yml") as command:
        said = command.shown()
    yield Screen(typed, 1.5)
    yield Screen(typed + said, secs)


def _typed(why: str, words: str) -> str:
    return f"\x1b[2m# {why}\x1b[0m\n{_PROMPT}duologsync {words}\n"


def _configure(folder: Path, duo: Duo, port: int) -> None:
    config = {
        "version": 2,
        "accounts": [duo.account()],
        "reading": {"start_days": 2, "lag_secs": 5, "poll_interval_secs": 5},
        "destinations": [tcp(port, format="cef")],
        "storage": {"checkpoint_dir": "state/checkpoints", "dead_letter_dir": "state/dead-letters"},
        "monitoring": {"port": free_port()},
    }
    (folder / "config.yml").write_text(json.dumps(config))
