"""What became of the events of a run, in words: the hourly line of a stream, and the last line of the program.

Place in the flow: ``stream_runner`` and ``supervisor`` log what is made here of what ``METRICS`` counted in this process.

Contract: pure functions. What was read twice on purpose, as overlaps and repeated bundles are, is not told as if it had been
lost: only what is delivered, kept or missing is set side by side. Of what is not delivered it is said what happens to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines import exit_codes
from pipelines.monitoring.words import span
from transforms.metrics.catalog import DEAD_LETTERS, EVENTS_DELIVERED, EVENTS_FILTERED
from transforms.metrics.registry import METRICS, Labels
from transforms.process.plural import counted

# What reading meets in its normal course; of the rest, somebody may want to know.
_USUAL = frozenset({
    "asked_again", "counted_by_duo", "gaps_closed", "missing", "pages", "pages_shared", "rate_limited", "rows", "rows_left_out",
    "windows", "windows_that_differ",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """Events of this process, by what became of them."""

    delivered: int
    filtered: int
    dead_letters: int

    @classmethod
    def of(cls, labels: Labels = ()) -> Outcome:
        """As counted, of all streams or of those whose labels begin so."""
        return cls(*(int(METRICS.total(metric, labels)) for metric in (EVENTS_DELIVERED, EVENTS_FILTERED, DEAD_LETTERS)))

    @property
    def any(self) -> bool:
        """Whether there were any."""
        return bool(self.delivered or self.filtered or self.dead_letters)

    def __str__(self) -> str:
        parts = [f"{counted(self.delivered, 'event')} delivered"]
        parts += [f"{self.filtered:,} filtered"] if self.filtered else []
        parts += [f"{counted(self.dead_letters, 'dead letter')} kept"] if self.dead_letters else []
        return ", ".join(parts)


def since_the_start(outcome: Outcome, notes: Mapping[str, int]) -> str:
    """The hourly line of a stream. ``notes``: what reading it met (``READING_NOTES``)."""
    parts = [str(outcome)]
    if again := notes.get("rows_left_out", 0):
        parts.append(f"{counted(again, 'repeat')} of windows that overlap left out")
    if missing := notes.get("missing", 0):
        closed = notes.get("gaps_closed", 0)
        came = f", and {counted(closed, 'gap')} closed since" if closed else ""
        parts.append(f"Duo counted {counted(missing, 'event')} more than it gave{came}")
    unusual = ", ".join(f"{what} {count:,}" for what, count in sorted(notes.items()) if what not in _USUAL and count)
    parts += [f"met: {unusual}"] if unusual else []
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended.

    Attributes:
      undelivered: the streams of which something was read and not delivered. all_read: the receivers were seen to read all that
        they acknowledged. asked: somebody asked for the end.
      code: the exit code.
    """

    secs: float
    outcome: Outcome
    undelivered: Sequence[str]
    all_read: bool
    asked: bool
    code: int


def last_line(end: End) -> str:
    """The last line of a run: what ended, and that all was delivered, or what was not and what happens to that."""
    why = "as asked" if end.asked else "by itself, because no stream can go on until what is told above is mended"
    begin = f"Ended {why}, after {span(end.secs)}: {end.outcome}."
    code = f" (exit code {end.code})" if end.code != exit_codes.OK else ""
    if end.undelivered:
        others = f" and of {counted(len(end.undelivered) - 1, 'other stream')}" if len(end.undelivered) > 1 else ""
        what = f"what was read of {end.undelivered[0]}{others}"
        return f"{begin} Not delivered: {what}; the next start reads it again and sends it{code}."
    if not end.all_read:
        return f"{begin} Not all of it was seen to be read by its receiver: the next start sends that again{code}."
    if not end.outcome.any:
        return f"{begin} Nothing that was read waits to be delivered{code}."
    return f"{begin} All that was read is delivered{_or_kept(end.outcome)}{code}."


def _or_kept(outcome: Outcome) -> str:
    others = ["filtered"] if outcome.filtered else []
    others += ["kept as a dead letter"] if outcome.dead_letters else []
    return "".join(f", or {each}" for each in others)
