"""What is lost and what repeats when things go wrong: ``python -m benchmarks.recovery``.

Place: prints the table for the documentation. It runs the scenarios of ``tests.servers``: real processes, a real rsyslog, a
real network that is cut; moments are random, so repeats differ from run to run, and losses must not.

Contract: one row per scenario; exit code 1 where anything was lost. A scenario that needs what this machine has not is left
out, and said to be.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.servers import rsyslog, scenarios
from tests.servers.scenarios import Outcome

_COLUMNS = ("what happens", "how often", "events", "lost", "repeated", "most repeated of one log by one blow")


def main() -> int:
    """Runs every scenario."""
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|" + "---|" * len(_COLUMNS))
    lost = 0
    for scenario in _possible():
        with tempfile.TemporaryDirectory(prefix="duologsync-recovery-") as folder:
            outcome = scenario(Path(folder))
        print(_row(outcome), flush=True)
        lost += outcome.lost
    return 1 if lost else 0


def _possible() -> Iterator[Callable[[Path], Outcome]]:
    yield scenarios.killed_while_draining
    yield scenarios.asked_to_end_while_draining
    if rsyslog.BINARY is None:
        print("rsyslog is not installed: its restart is left out.", file=sys.stderr)
    else:
        yield scenarios.siem_restarted
    yield scenarios.half_dead_siem
    if scenarios.Cable.possible():
        yield scenarios.silent_siem
    else:
        print("No network namespaces here (needs root): the silent SIEM is left out.", file=sys.stderr)
    yield scenarios.stalled_siem
    yield scenarios.one_millisecond


def _row(outcome: Outcome) -> str:
    worst = f"{outcome.worst_repeat:,}" if outcome.worst_repeat else "-"
    cells = (outcome.name, outcome.blows, f"{outcome.events:,}", f"{outcome.lost:,}", f"{outcome.repeated:,}", worst)
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    sys.exit(main())
