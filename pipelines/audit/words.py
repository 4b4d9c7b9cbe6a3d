"""A certificate in words, for a terminal: a line for each stream and destination, and below it what a person should know.

Place in the flow: ``duologsync audit`` prints it; ``--json`` prints the certificate itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pipelines.audit.certificate import Certificate, Named, Outcome, Verdict
from transforms.days import DAY_MS

_NAMED_SHOWN = 20
_VERDICTS = {
    Verdict.STORED: "all of it is there",
    Verdict.DELIVERED: "delivered; it cannot be asked",
    Verdict.NOTHING: "nothing was to be delivered",
    Verdict.MISSING: "MISSING",
    Verdict.NOT_READ: "NOT READ YET",
    Verdict.UNKNOWN: "UNKNOWN",
}
_WHOSE = "stream to destination"
_HEAD = f"{'Duo has':>11} {'expected':>11} {'there':>11} {'dead':>8} {'missing':>9}  verdict"


def lines_of(certificate: Certificate) -> Iterator[str]:
    """The lines, in the order in which they are read."""
    part = "" if certificate.until_ms - certificate.from_ms == DAY_MS else f", {_span(certificate)}"
    yield f"{certificate.day} (UTC{part}): certificate {certificate.number}, revision {certificate.revision} of this day"
    width = max(map(len, (_WHOSE, *map(_whose, certificate.streams))))
    yield f"{_WHOSE:<{width}} {_HEAD}"
    for outcome in certificate.streams:
        yield f"{_whose(outcome):<{width}} {_line(outcome)}"
        yield from _notes(outcome)


def head_of(certificate: Certificate) -> str:
    """What to keep elsewhere."""
    return (
        f"Head: {certificate.sha256} (certificate {certificate.number}). Keep it where nobody who can write to the checkpoint "
        "directory can: audit --verify --head shows later that nothing was made anew."
    )


def moment(time_ms: int) -> str:
    """A time, with its milliseconds."""
    at = dt.datetime.fromtimestamp(time_ms // 1000, dt.timezone.utc)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


def _span(certificate: Certificate) -> str:
    return f"{moment(certificate.from_ms)} to {moment(certificate.until_ms)}"


def _whose(outcome: Outcome) -> str:
    return f"{outcome.account}/{outcome.log_type} to {outcome.destination}"


def _line(outcome: Outcome) -> str:
    missing = outcome.missing or outcome.never_read + outcome.dropped
    return (
        f"{_number(outcome.duo):>11} {outcome.expected:>11,} {_number(outcome.stored):>11} "
        f"{sum(outcome.dead.values()):>8,} {missing:>9,}  {_VERDICTS[outcome.verdict]}"
    )


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _notes(outcome: Outcome) -> Iterator[str]:
    if outcome.why:
        yield f"  {outcome.why}"
    if outcome.fixed:
        yield f"  fixed: {outcome.fixed:,} were read again, sent and found there"
    if outcome.dead:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in outcome.dead.items())
        yield f"  dead letters: {reasons}. duologsync replay sends them, once their cause is mended"
    for count, what in (
        (outcome.filtered, "filtered, because no route takes them"),
        (outcome.before, "before the destination began with this log"),
        (outcome.not_read, "behind the position, to be read yet"),
        (outcome.repeats, "there more often than once, which is no gap"),
        (outcome.undated, "without a time, which cannot be looked for"),
        (outcome.late, "published by Duo since this day was audited before"),
        (outcome.gone, "delivered, that Duo does not serve any more"),
        (outcome.duo_withholds, "counted by Duo beyond those that it gives"),
    ):
        if count:
            yield f"  {count:,} {what}"
    yield from _missing(outcome)


def _missing(outcome: Outcome) -> Iterator[str]:
    for named in outcome.named[:_NAMED_SHOWN]:
        yield f"  missing: {_name(named)}"
    more = outcome.missing - min(len(outcome.named), _NAMED_SHOWN)
    if outcome.named and more > 0:
        yield f"  and {more:,} more; --json names the first {len(outcome.named):,}"


def _name(named: Named) -> str:
    return f"{named.id}, of {moment(named.time_ms)}"
