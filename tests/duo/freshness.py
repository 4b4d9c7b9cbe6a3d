"""How soon an event is handed on after Duo has made it readable, by limits of Duo's: hours in virtual time.

A feed reads one log, as the program does; Duo is a model that withholds the newest two minutes and counts calls. So what is
measured is what the program decides: when it looks. What a pass and a SIEM take in reality comes to it.

``python -m tests.duo.freshness`` prints the table of ``docs/freshness.md``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.duo.fake_duo import NOW_MS, READING, FakeDuo
from tests.duo.test_feed_steps import ACCOUNT, JumpingClock
from tests.duo.virtual_limits import Bucket
from transforms.duo.fetch.feed import PageFeed
from transforms.duo.position.windows import first_cursor
from transforms.duo.rate_limit.budget import RateBudget
from transforms.errors import RetryLater

CALL_SECS = 0.3
WITHHELD_SECS = 120
LEARNING_SECS = 1800.0


class LimitedDuo(FakeDuo):
    """Serves what is readable by now, and refuses calls beyond a limit."""

    skew_secs = None

    def __init__(self, clock: JumpingClock, per_minute: float | None) -> None:
        super().__init__(page_limit=1000)
        self.clock = clock
        self.limit = Bucket(per_minute) if per_minute else None
        self.refused = self.asked = 0

    def fetch_page(self, _log_type, call):
        self.clock.sleep(CALL_SECS)
        self.asked += 1
        if self.limit is not None and not self.limit.allow(self.clock.monotonic_secs()):
            self.refused += 1
            raise RetryLater("Duo allows no more calls for now.", kind="rate_limited")
        readable_ms = int(self.clock.wall_secs() * 1000) - WITHHELD_SECS * 1000
        return self.serve(replace(call, cursor=replace(call.cursor, maxtime_ms=min(call.maxtime_ms, readable_ms))))

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Freshness:
    """Seconds from readable to handed on, after the first half hour; and calls of the whole time."""

    p50_secs: float
    p95_secs: float
    worst_secs: float
    calls: int
    refused: int


def measured(per_minute: float | None, poll_interval_secs: float | None, *, hours: float = 8, seed: int = 1) -> Freshness:
    """An event every ten seconds on average."""
    clock, numbers = JumpingClock(), random.Random(seed)
    duo = LimitedDuo(clock, per_minute)
    reading = replace(READING, poll_interval_secs=poll_interval_secs)
    budget = RateBudget(now=clock.monotonic_secs, uniform=numbers.uniform)
    feed = PageFeed(ACCOUNT, "activity", reading, clock=clock, make_client=lambda: duo, budget=budget, own_thread=False)
    begin, when = clock.wall_secs(), {}
    moment = begin
    while moment < begin + hours * 3600:
        moment += numbers.expovariate(0.1)
        duo.publish(int(moment * 1000), f"e{len(when)}")
        when[f"e{len(when)}"] = moment
    handed = _handed(feed, clock, begin + hours * 3600)
    feed.close()
    late = sorted(
        handed[name] - (at + WITHHELD_SECS) for name, at in when.items() if name in handed and at > begin + LEARNING_SECS
    )
    return Freshness(late[len(late) // 2], late[len(late) * 95 // 100], late[-1], duo.asked, duo.refused)


def _handed(feed: PageFeed, clock: JumpingClock, end: float) -> dict[str, float]:
    feed.seek(first_cursor(NOW_MS, READING))
    handed: dict[str, float] = {}
    while clock.wall_secs() < end:
        wait_secs = feed.work_once()
        while (fetched := feed.take(0.0)) is not None:
            for raw in fetched.page.rows:
                handed.setdefault(raw.split(b'"')[3].decode(), clock.wall_secs())
            feed.delivered(fetched.after)
        clock.sleep(5.0 if wait_secs is None else min(max(wait_secs, 0.001), 30.0))
    return handed


def _print_table() -> None:
    print("| Duo allows | `poll_interval_secs` | p50 | p95 | worst | calls in 8 h | refused |")
    print("|---|---|---|---|---|---|---|")
    for name, per_minute in (("1 call a minute", 1), ("2 a minute", 2), ("50 a minute", 50), ("as many as come", None)):
        for poll_secs in (None, 120, 5):
            found = measured(per_minute, poll_secs)
            how = "automatic" if poll_secs is None else str(poll_secs)
            times = f"{found.p50_secs:.0f} s | {found.p95_secs:.0f} s | {found.worst_secs:.0f} s"
            print(f"| {name} | {how} | {times} | {found.calls:,} | {found.refused:,} |")


if __name__ == "__main__":
    _print_table()
