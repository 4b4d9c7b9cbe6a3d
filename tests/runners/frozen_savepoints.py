"""Savepoints of Flink that earlier releases wrote. ``python -m tests.runners.frozen_savepoints RELEASE`` freezes one.

Place: ``test_flink`` restores each of them into the present release. One is never made anew; a release that cannot read it
cannot go on from its users' savepoints. A release freezes one when what it writes differs from what the last one wrote.

Contract: ``savepoints/RELEASE`` holds the savepoint as Flink wrote it, in the middle of a backlog, and ``facts.json``: when
that was, how many events each log had, and how many of them were delivered. A savepoint grows old, and Duo serves 180 days
only. So a copy is restored in which the times of the marks are moved to the present, digits for digits, and the digests of rows
that the marks remember become those of the same rows with the times of today; nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import DuoSimulator
from pipelines.launch_files.flink.savepoint import stop_with_savepoint
from tests.runners.flink.cluster import FlinkCluster
from tests.runners.programs import SubmittedProgram
from tests.servers.harness import HOUR_MS, Duo, repeated, tcp, wait_until, write_config
from transforms.state.seen import from_wire, packed, row_digest, to_wire

FOLDER = Path(__file__).parent / "savepoints"
RELEASES = sorted(path.name for path in FOLDER.iterdir())
EVENTS = {"auth": 5_000, "activity": 200}
_MINUTE_MS = 60_000
_MILLISECONDS = re.compile(rb"(?<!\d)\d{13}(?!\d)")
_SEEN = re.compile(rb'"(\d{8})":"([A-Za-z0-9+/]+=*)"')


@dataclass(frozen=True)
class Frozen:
    """A savepoint, moved to the present.

    Attributes:
      savepoint: its address. at_ms: when it was made, in the time that it was moved to.
      delivered: ids, by log type, that the frozen job had delivered.
    """

    savepoint: str
    at_ms: int
    delivered: dict[str, set[str]]


def thaw(release: str, duo: Duo, folder: Path) -> Frozen:
    """A copy that was made ten minutes ago, as far as it knows; ``duo`` gets the events that it was made with."""
    facts = json.loads((FOLDER / release / "facts.json").read_text())
    at_ms = (time.time_ns() // 1_000_000 - 10 * _MINUTE_MS) // _MINUTE_MS * _MINUTE_MS
    by_ms = at_ms - facts["at_ms"]
    _fill(duo, at_ms, facts["events"])
    digests = _digests_by_those_of(release, duo, facts)
    copy = folder / "savepoint"
    copy.mkdir()
    moved = 0
    for file in (FOLDER / release / "savepoint").iterdir():
        content, count = _move(file.read_bytes(), facts["at_ms"], by_ms, digests)
        (copy / file.name).write_bytes(content)
        moved += count
    assert moved, "no time of a mark was found"
    delivered = {log_type: set(duo.simulator.produced_ids(log_type)[:count]) for log_type, count in facts["delivered"].items()}
    return Frozen(copy.as_uri(), at_ms, delivered)


def _fill(duo: Duo, at_ms: int, events: dict[str, int]) -> None:
    # The simulator's ids depend on the number of an event only, so they are those that the savepoint remembers.
    for log_type, count in events.items():
        duo.simulator.add_backlog(log_type, count, at_ms - 12 * HOUR_MS, at_ms - _MINUTE_MS)


def _digests_by_those_of(release: str, duo: Duo, facts: dict[str, Any]) -> dict[int, int]:
    """The digest of each row of the frozen day → that of the same row as ``duo`` has it now."""
    then = DuoSimulator(release, "")
    for log_type, count in facts["events"].items():
        then.add_backlog(log_type, count, facts["at_ms"] - 12 * HOUR_MS, facts["at_ms"] - _MINUTE_MS)
    pairs = (zip(then.produced_rows(name), duo.simulator.produced_rows(name), strict=True) for name in facts["events"])
    return {row_digest(old): row_digest(new) for rows in pairs for old, new in rows}


def _move(content: bytes, around_ms: int, by_ms: int, digests: dict[int, int]) -> tuple[bytes, int]:
    """The content with every time within two days of ``around_ms`` moved, and with other digests; how many times there were."""
    moved = 0

    def time(match: re.Match[bytes]) -> bytes:
        nonlocal moved
        value = int(match[0])
        if abs(value - around_ms) > 48 * HOUR_MS:
            return match[0]
        moved += 1
        return b"%d" % (value + by_ms)

    def seen(match: re.Match[bytes]) -> bytes:
        group = memoryview(from_wire(base64.b64decode(match[2]))).cast("Q")
        others = base64.b64encode(to_wire(packed(digests[digest] for digest in group)))
        assert len(others) == len(match[2])
        return b'"%d":"%b"' % (int(match[1]) + by_ms // _MINUTE_MS, others)

    return _SEEN.sub(seen, _MILLISECONDS.sub(time, content)), moved


def freeze(release: str, jar: str) -> None:
    """Makes the savepoint of the present release."""
    target = FOLDER / release
    assert not target.exists(), "there is one: it stays"
    with tempfile.TemporaryDirectory(prefix="duologsync-") as name, FlinkCluster(Path(name) / "flink", jar) as flink:
        folder = Path(name)
        with Duo(folder) as duo, SiemReceiver() as siem:
            at_ms = time.time_ns() // 1_000_000 // _MINUTE_MS * _MINUTE_MS
            _fill(duo, at_ms, EVENTS)
            config = write_config(folder, duo, [tcp(siem.port)], log_types=EVENTS, page_pause_secs=2, lag_secs=60)
            with SubmittedProgram(folder, config, env=flink.submit_env()):
                flink.running_job()
                wait_until(lambda: siem.total() > 2_000, "events before the savepoint")
                savepoint = Path(stop_with_savepoint(flink.address).removeprefix("file:"))
            facts: dict[str, Any] = {
                "at_ms": at_ms,
                "events": EVENTS,
                "delivered": {log_type: len(siem.unique_ids(log_type)) for log_type in EVENTS},
            }
        assert not any(repeated(siem).values())
        assert 0 < facts["delivered"]["auth"] < EVENTS["auth"], "it was not made in the middle of a backlog"
        (target / "savepoint").mkdir(parents=True)
        for file in savepoint.iterdir():
            (target / "savepoint" / file.name).write_bytes(file.read_bytes())
        (target / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{target}: {facts['delivered']} delivered")


if __name__ == "__main__":
    from tests.runners.conftest import from_cache

    freeze(sys.argv[1], from_cache("flink/get_flink.sh"))
