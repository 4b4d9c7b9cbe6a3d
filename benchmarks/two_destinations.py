"""One log for two SIEMs, one of them away: ``python -m benchmarks.two_destinations --away-secs 600 [--runner flink]``.

Place: prints the table for the documentation. It runs the scenario of ``tests.servers.two_destinations``, and the same stretch
with one destination alone; the runners come from the tests' cache, as in ``benchmarks.runners``.

Contract: one row per run; exit code 1 where anything was lost, or repeated at the SIEM that was there. The one that went away
may see again what it had acknowledged when it went: nobody knows whether it was read. On Flink, which starts what goes there
again, it sees again what came since the last checkpoint; the backlog of the start is behind one when the measurement begins.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.runners import runner
from tests.runners.programs import RunnerProgram
from tests.servers.two_destinations import Outcome, one_away

_COLUMNS = (
    "destinations", "events", "delay of the other: median", "most", "calls to Duo meanwhile", "calls after", "caught up after",
    "lost", "repeated", "at the one away",
)  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--away-secs", type=float, default=600.0)
    parser.add_argument("--after-secs", type=float, default=60.0, help="the least time that is looked at after its return")
    parser.add_argument("--events-per-sec", type=float, default=50.0)
    parser.add_argument("--runner", choices=["local", "prism", "flink"], default="local")
    options = parser.parse_args()
    print(f"{options.runner}; one of two is away for {options.away_secs:g} s; {options.events_per_sec:g} events/s", flush=True)
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|" + "---|" * len(_COLUMNS))
    failures = 0
    for destinations in (["here"], ["here", "away"]):
        outcome = _run(options, destinations)
        print(_row("one" if len(destinations) == 1 else "two, one away", outcome), flush=True)
        failures += outcome.lost + outcome.repeated
    return 1 if failures else 0


def _run(options: argparse.Namespace, destinations: list[str]) -> Outcome:
    stretch = {
        "away_secs": options.away_secs,
        "after_secs": options.after_secs,
        "events_per_sec": options.events_per_sec,
        "destinations": destinations,
    }
    with tempfile.TemporaryDirectory(prefix="duologsync-bench-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        if options.runner == "local":
            return one_away(work, **stretch)
        with runner(options.runner, Path(folder)) as on:
            launch = lambda at, config: RunnerProgram(at, "run", config, "--", *on.flags)  # noqa: E731
            outcome = one_away(work, **stretch, launch=launch, settle=on.settle)
            on.end()
            return outcome


def _row(name: str, outcome: Outcome) -> str:
    caught_up = f"{outcome.caught_up_secs:.1f} s" if outcome.caught_up_secs else "-"
    delays = (f"{secs:.2f} s" for secs in (outcome.median_delay_secs, outcome.most_delay_secs))
    calls = (f"{count:,}" for count in (outcome.calls_away, outcome.calls_after))
    ends = (f"{count:,}" for count in (outcome.lost, outcome.repeated, outcome.repeated_away))
    return "| " + " | ".join((name, f"{outcome.events:,}", *delays, *calls, caught_up, *ends)) + " |"


if __name__ == "__main__":
    sys.exit(main())
