"""What should be there against what is: for one part of a stream's day and one destination.

Place in the flow: the auditor fills a ``Part`` with what is expected, hands it what the destination shows, and sums the
results. Contract: values and pure functions; nothing waits, reads or sends here. Memory grows with the part, which is bounded
elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines.audit.evidence import Known
from pipelines.audit.expected import Made


@dataclass(slots=True)
class Wanted:
    """One key that should be there: how often, and when its event happened."""

    count: int
    time_ms: int
    row_key: str


@dataclass
class Part:
    """What is expected of a stretch.

    Attributes:
      wanted: by key. found: how often each was shown, of these.
      unwritable: events that should be dead letters, by reason.
      unlike: events that were shown, of which there is no id of Duo's to be found.
    """

    wanted: dict[str, Wanted] = field(default_factory=dict)
    found: Counter[str] = field(default_factory=Counter)
    unwritable: Counter[str] = field(default_factory=Counter)
    unlike: int = 0
    from_ms: int = 0
    until_ms: int = 0

    def add(self, made: Made, time_ms: int) -> None:
        """Another message is expected."""
        if made.reason:
            self.unwritable[made.reason] += 1
            return
        known = self.wanted.get(made.key)
        if known is None:
            self.wanted[made.key] = Wanted(1, time_ms, made.row_key)
        else:
            known.count += 1
        self.from_ms = min(self.from_ms, time_ms) if self.from_ms else time_ms
        self.until_ms = max(self.until_ms, time_ms + 1)

    def shown(self, keys: Iterable[str]) -> None:
        """What the destination shows now, in place of what it showed before."""
        self.found, self.unlike = Counter(), 0
        for key in keys:
            if key in self.wanted:
                self.found[key] += 1
            elif not key.startswith("id:"):
                self.unlike += 1


@dataclass
class Sums:
    """What became of the messages of a part. Fields as of ``certificate.Outcome``; missing: by key, when they happened."""

    expected: int = 0
    stored: int = 0
    repeats: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    before: int = 0
    not_read: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    missing_count: int = 0

    def add(self, other: Sums) -> None:
        """Adds another part's, but for which are missing: those are as many as there may be."""
        self.expected += other.expected
        self.stored += other.stored
        self.repeats += other.repeats
        self.dead += other.dead
        self.before += other.before
        self.not_read += other.not_read
        self.missing_count += other.missing_count


def compared(part: Part, known: Known, *, asked: bool) -> Sums:
    """What became of them. ``asked``: whether the destination has shown what it has; else nothing is missing for that."""
    sums = Sums(dead=Counter(part.unwritable), expected=sum(part.unwritable.values()))
    for key, wanted in part.wanted.items():
        there = part.found.get(key, 0)
        sums.expected += wanted.count
        sums.stored += min(there, wanted.count)
        sums.repeats += max(0, there - wanted.count)
        lacking = wanted.count - min(there, wanted.count)
        if not lacking:
            continue
        reason = known.dead.get(key) or known.dead.get(wanted.row_key)
        if reason is not None:
            sums.dead[reason] += lacking
        elif wanted.time_ms < known.began_ms:
            sums.before += lacking
        elif known.position_ms is None or wanted.time_ms > known.position_ms:
            sums.not_read += lacking
        elif asked:
            sums.missing[key] = wanted.time_ms
            sums.missing_count += lacking
    return sums


def stretches(missing: Mapping[str, int], apart_ms: int = 60_000) -> list[tuple[int, int]]:
    """The stretches of time in which the missing ones happened; the end is not in one. Neighbours are read in one go."""
    found: list[tuple[int, int]] = []
    for time_ms in sorted(missing.values()):
        if found and time_ms - found[-1][1] < apart_ms:
            found[-1] = (found[-1][0], time_ms + 1)
        else:
            found.append((time_ms, time_ms + 1))
    return found
