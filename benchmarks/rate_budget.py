"""How much of an unknown rate limit is used, and how often it is met: ``python -m benchmarks.rate_budget --minutes 30``.

Place: the product's feed (client, paging, budget, thread) against the demo's simulator with its token bucket, over HTTPS, in
real time and without any constant changed. Every limit has a simulator, credentials and a feed of its own; all run at once,
because they mostly wait. Pages have five rows, so that a backlog of half an hour fits into memory: the limit counts calls.

Contract: the feed is behind all the time (checked). Counted is what the simulator saw:
    allowed      calls that a caller who knew the bucket could have made: what was in it at the start, and what flowed in
    of rate      answered calls as a share of what flowed in alone
Exit code 1 where fewer than 95 % of what flowed in were answered, or more than 1 % refused after the first two minutes.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.demo.certificates import ServerFiles, make_certificates
from pipelines.demo.simulator import DuoSimulator, RateLimit
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.log_types import LOG_TYPES
from transforms.secrets import SecretRef
from transforms.settings import Account, Reading
from transforms.state.cursor import Cursor

_ROWS_PER_PAGE = 5
_LEARNING_SECS = 120.0
_SHARE_TO_USE, _SHARE_TO_BE_REFUSED = 0.95, 0.01
_LIMITS = {
    "1 per min": RateLimit(1),
    "10 per min": RateLimit(10),
    "50 per min": RateLimit(50),
    "20 per 10 s": RateLimit(120, burst=20),
    "10 per min, Retry-After: 6": RateLimit(10, retry_after=6),
}


@dataclass(frozen=True)
class Result:
    """What one limit saw; see the module."""

    name: str
    limit: RateLimit
    secs: float
    answered: int
    refused_early: int
    called_late: int
    refused_late: int

    @property
    def flowed_in(self) -> float:
        return self.limit.calls_per_minute * self.secs / 60

    @property
    def used(self) -> float:
        return self.answered / self.flowed_in

    @property
    def refused(self) -> float:
        return self.refused_late / max(1, self.called_late)

    @property
    def good(self) -> bool:
        return self.used >= _SHARE_TO_USE and self.refused <= _SHARE_TO_BE_REFUSED


class Contest:
    """One feed against one limit."""

    def __init__(self, name: str, limit: RateLimit, secs: float, files: ServerFiles, folder: Path) -> None:
        self.name, self._limit, self._secs = name, limit, secs
        ikey, skey = f"DI{secrets.token_hex(9).upper()}", secrets.token_hex(20)
        skey_file = folder / ikey
        skey_file.write_text(skey, encoding="ascii")
        self._duo = DuoSimulator(ikey, skey, delay_secs=0, tls=(files.cert_file, files.key_file), rate_limit=limit)
        calls = limit.burst + limit.calls_per_minute * secs / 60
        now_ms = time.time_ns() // 1_000_000
        self._duo.add_backlog("auth", int((calls + 50) * _ROWS_PER_PAGE), now_ms - 86_400_000, now_ms - 60_000)
        account = Account(
            name, "localhost", ikey, SecretRef("file", str(skey_file)), port=self._duo.port, ca_file=files.ca_file
        )
        self._feed = PageFeed(account, "auth", Reading(start_days=2))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._behind = True

    def start(self) -> None:
        """Begins to read."""
        self._duo.start()
        self._began = time.monotonic()
        self._thread.start()

    def _read(self) -> None:
        self._feed.seek(Cursor(time.time_ns() // 1_000_000 - 2 * 86_400_000))
        while time.monotonic() < self._began + self._secs:
            # take() says at once that nothing comes while calls are paced; wait_ready() waits.
            if self._feed.wait_ready(1.0) and (page := self._feed.take(0.0)) is not None:
                self._feed.delivered(page.after)
            self._behind = self._behind and not self._feed.caught_up

    def result(self) -> Result:
        """Waits until the time is over, and counts."""
        self._thread.join()
        self._feed.close()
        self._duo.stop()
        if not self._behind:
            raise RuntimeError(f"{self.name}: the backlog was read to its end, so this says nothing.")
        calls = list(self._duo.calls)
        first = calls[0].at_secs
        calls = [call for call in calls if call.at_secs - first <= self._secs]
        late = [call for call in calls if call.at_secs - first >= _LEARNING_SECS]
        return Result(
            self.name,
            self._limit,
            self._secs,
            answered=sum(call.status == 200 for call in calls),
            refused_early=sum(call.status == 429 for call in calls) - sum(call.status == 429 for call in late),
            called_late=len(late),
            refused_late=sum(call.status == 429 for call in late),
        )


def table(results: list[Result]) -> str:
    """The results in Markdown."""
    lines = [
        "| limit | minutes | allowed | answered | of rate | 429s in the first 2 min | calls after | 429s after | share |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.name} | {r.secs / 60:g} | {int(r.limit.burst + r.flowed_in):,} | {r.answered:,} | {r.used:.3f} "
        f"| {r.refused_early} | {r.called_late:,} | {r.refused_late} | {r.refused:.2%} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs all limits at once and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate_budget", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="real time (30); less than 5 says little")
    secs = parser.parse_args().minutes * 60
    LOG_TYPES["auth"] = replace(LOG_TYPES["auth"], page_limit=_ROWS_PER_PAGE)
    with tempfile.TemporaryDirectory(prefix="duologsync-rate-") as name:
        files = make_certificates(Path(name))
        contests = [Contest(name_, limit, secs, files, Path(name)) for name_, limit in _LIMITS.items()]
        for contest in contests:
            contest.start()
        results = [contest.result() for contest in contests]
    print(table(results))
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
