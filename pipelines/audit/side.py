"""One stream on its way to one destination, while a day of it is audited.

Place in the flow: the auditor gives it every row that Duo serves; it asks the destination, part by part, and ends as an
``Outcome``.

Contract: at most ``PART_KEYS`` messages are held, however long the day is, and the names of the first missing ones. What a
destination indexes late is waited for: after events were sent again, and where the day has only just ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pipelines.audit.certificate import MOST_NAMED, Named, Outcome, Verdict
from pipelines.audit.compare import Part, Sums, compared
from pipelines.audit.evidence import Known
from pipelines.audit.expected import Expected
from transforms.days import begin_of
from transforms.destinations.stored.reader import StoredReader, Stretch
from transforms.errors import DuoLogSyncError
from transforms.records import Subscription
from transforms.state.ledger.tally import NOTHING

PART_KEYS = 50_000
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.5, 10.0

SendAgain = Callable[[Expected, dict[str, int]], int]
"""Sends what is missing again; how many events that were."""


@dataclass(frozen=True)
class DuoSide:
    """What Duo serves of a stream and stretch: how many rows, a digest of the set of them, and how many it counts beyond."""

    total: int
    digest: str
    withheld: int


class Side:
    """See the module.

    Args:
      reader: shows what the destination has; None where it cannot be asked.
      send_again: None where nothing is to be mended.
    """

    def __init__(
        self,
        subscription: Subscription,
        expected: Expected,
        reader: StoredReader | None,
        known: Known,
        send_again: SendAgain | None,
    ) -> None:
        self.subscription = subscription
        self._expected = expected
        self._reader = reader
        self._known = known
        self._send_again = send_again
        self._part = Part()
        self._sums = Sums()
        self._named: list[Named] = []
        self._filtered = self._undated = self._in_reach = self._fixed = 0
        self._trouble = ""

    @property
    def is_full(self) -> bool:
        """It is time to settle a part."""
        return len(self._part.wanted) >= PART_KEYS

    def add(self, row: bytes, time_ms: int | None) -> None:
        """Duo serves this row."""
        made = self._expected.of(row)
        self._filtered += not made
        if time_ms is None:
            self._undated += 1
            return
        known = self._known
        if known.position_ms is not None and known.began_ms <= time_ms <= known.position_ms:
            self._in_reach += 1
        for each in made:
            self._part.add(each, time_ms)

    def settle(self, wait_secs: float) -> None:
        """Asks the destination for what came since the last time. ``wait_secs``: so long for what it may index late."""
        part, self._part = self._part, Part()
        sums = self._shown(part, wait_secs)
        if sums.missing and self._send_again is not None and not self._trouble:
            sums = self._mended(part, sums, wait_secs)
        self._add(sums)

    def outcome(self, duo: DuoSide, day: str | None) -> Outcome:
        """What is found, after all rows. ``day``: None where only a part of it was audited, of which nothing was counted."""
        sums = self._sums
        found = msgspec.structs.replace(
            self._blank,
            duo=duo.total,
            duo_digest=duo.digest,
            duo_withholds=duo.withheld,
            undated=self._undated,
            filtered=self._filtered,
            expected=sums.expected,
            stored=sums.stored if self._reader is not None and not self._trouble else None,
            repeats=sums.repeats,
            dead=dict(sorted(sums.dead.items())),
            before=sums.before,
            not_read=sums.not_read,
            missing=sums.missing_count,
            named=tuple(self._named),
            fixed=self._fixed,
        )
        return judged(found if day is None else self._with_counts(found, day), self._trouble)

    def _with_counts(self, found: Outcome, day: str) -> Outcome:
        """With what the program itself has counted of the day."""
        known = self._known
        counts, twice = known.counted(day), known.counted_twice(day)
        again = known.backfilled.get(day, NOTHING)
        backfilled = again.read
        if counts is None:
            return msgspec.structs.replace(found, backfilled=backfilled)
        # What a backfill has read is dead no more, unless it was dead again.
        dead = min(counts.dead, again.dead) if backfilled >= counts.read else counts.dead
        kept = sum(found.dead.values()) + known.replayed.get(day, 0)
        return msgspec.structs.replace(
            found,
            read=counts.read,
            read_filtered=counts.filtered,
            read_dead=counts.dead,
            read_again=twice,
            dropped=0 if twice else max(0, dead - kept),
            dropped_is_known=known.replays_from_ms <= begin_of(day),
            backfilled=backfilled,
            never_read=max(0, self._in_reach - max(counts.read, backfilled)),
            # What a crash made be sent twice was counted twice, so the number says nothing of what is gone.
            gone=0 if twice else max(0, counts.read - self._in_reach),
        )

    def unknown(self, why: str) -> Outcome:
        """Duo did not answer."""
        return msgspec.structs.replace(self._blank, why=why)

    @property
    def _blank(self) -> Outcome:
        stream, destination = self.subscription.stream, self.subscription.destination
        return Outcome(account=stream.account, log_type=stream.log_type, destination=destination, verdict=Verdict.UNKNOWN)

    def _shown(self, part: Part, wait_secs: float) -> Sums:
        """What the destination has of a part; asked again for as long as something is missing and may come."""
        deadline, pause_secs = time.monotonic() + wait_secs, _FIRST_PAUSE_SECS
        while True:
            if self._reader is None or self._trouble or not part.wanted:
                return compared(part, self._known, asked=False)
            try:
                part.shown(self._reader.keys(self.subscription.stream, Stretch(part.from_ms, part.until_ms)))
            except (DuoLogSyncError, OSError) as error:
                self._trouble = str(error)
                continue
            sums = compared(part, self._known, asked=True)
            if sums.missing and not sums.stored and part.unlike:
                self._trouble = (
                    f"The destination shows {part.unlike:,} events of this time, and finds Duo's id in none of them. Say under "
                    "audit, as id_field, where it is. Nothing was sent again."
                )
                continue
            if not sums.missing or time.monotonic() + pause_secs > deadline:
                return sums
            time.sleep(pause_secs)
            pause_secs = min(2 * pause_secs, _LONGEST_PAUSE_SECS)

    def _mended(self, part: Part, before: Sums, wait_secs: float) -> Sums:
        assert self._send_again is not None
        try:
            self._send_again(self._expected, before.missing)
        except (DuoLogSyncError, OSError) as error:
            self._trouble = f"What is missing could not be sent again: {error}"
            return before
        after = self._shown(part, wait_secs)
        self._fixed += before.missing_count - after.missing_count
        return after

    def _add(self, sums: Sums) -> None:
        self._sums.add(sums)
        room = MOST_NAMED - len(self._named)
        first = sorted(sums.missing.items(), key=lambda item: item[1])[:room]
        self._named += [Named(_writable(key.removeprefix("id:")), time_ms) for key, time_ms in first]


def judged(outcome: Outcome, trouble: str) -> Outcome:
    """The outcome with its verdict, and what a person should know of it."""
    verdict, why = _verdict(outcome, trouble)
    return msgspec.structs.replace(outcome, verdict=verdict, why=why)


def _verdict(outcome: Outcome, trouble: str) -> tuple[Verdict, str]:
    if trouble:
        return Verdict.UNKNOWN, trouble
    if outcome.missing:
        cause = f"; the program never read {outcome.never_read:,} of them" if outcome.never_read else ""
        return (
            Verdict.MISSING,
            f"{outcome.missing:,} are not in the destination{cause}. With --fix they are read and sent again.",
        )
    if outcome.stored is None and outcome.read is None and outcome.expected > outcome.before + outcome.not_read:
        return Verdict.UNKNOWN, _NO_EVIDENCE
    if outcome.stored is None and outcome.never_read:
        return Verdict.MISSING, f"{outcome.never_read:,} were never read. A backfill of this day reads all of it again."
    if outcome.stored is None and outcome.dropped and not outcome.dropped_is_known:
        return Verdict.UNKNOWN, (
            f"{outcome.dropped:,} became dead letters and are not kept, and what would show that a replay sent them is not "
            "kept either, or not on this machine."
        )
    if outcome.stored is None and outcome.dropped:
        return Verdict.MISSING, (
            f"{outcome.dropped:,} became dead letters, which are neither kept nor replayed. A backfill of this day sends what "
            "can be sent of it."
        )
    if outcome.not_read:
        return Verdict.NOT_READ, f"{outcome.not_read:,} are behind the position: the program has not come so far."
    if outcome.expected == outcome.before:
        return Verdict.NOTHING, "all of it is before the destination's beginning" if outcome.before else ""
    if outcome.stored is not None:
        return Verdict.STORED, ""
    return Verdict.DELIVERED, "some were sent and counted twice, after an end without order" if outcome.read_again else ""


_NO_EVIDENCE = (
    "The destination cannot be asked, and the program has not counted this day, or not all of it. Give the destination a "
    "section audit, or audit whole days that began after the program did."
)


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
