"""Audits days: reads what Duo serves, asks the destinations, and says of each stream and destination what it found.

Place in the flow: ``duologsync audit`` asks for one day after the other and keeps what comes out as certificates.

Contract: one stream is read at a time, once for all its destinations. What keeps one stream from being audited (Duo refuses it,
a destination does not answer) is its outcome, and costs the others nothing. Nothing is written but what ``send_again`` sends.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import msgspec

from pipelines.audit.certificate import Certificate, Outcome, Verdict
from pipelines.audit.duo_rows import DuoRows
from pipelines.audit.evidence import Evidence
from pipelines.audit.expected import Expected
from pipelines.audit.fixing import send_again
from pipelines.audit.side import DuoSide, Side
from pipelines.local.children import list_children
from transforms.days import DAY_MS, begin_of
from transforms.destinations.stored.reader import StoredReader, Stretch
from transforms.destinations.stored.registry import reader_of
from transforms.duo.fetch.feed import stream_of
from transforms.errors import DuoLogSyncError
from transforms.records import Subscription
from transforms.settings import Account, Destination, Job

_RECENT_SECS = 3600.0
_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Options:
    """What of a job is audited, and how. Empty names are all.

    Attributes:
      fix: what is missing is sent again.
      wait_secs: for so long a destination may index late: after events were sent again, and where the day has just ended.
    """

    log_types: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    fix: bool = False
    wait_secs: float = 60.0

    def takes_account(self, name: str) -> bool:
        """A parent stands for its children."""
        return not self.accounts or bool({name, name.partition("/")[0]}.intersection(self.accounts))


class Auditor:
    """See the module.

    Attributes:
      unreadable: files of dead letters that could not be read; their events may look missing.
    """

    def __init__(self, job: Job, options: Options) -> None:
        self.unreadable: tuple[str, ...] = ()
        self._job = job
        self._options = options
        self._readers: dict[str, StoredReader | None] = {}
        self._accounts, self._unlisted = self._listed()

    def outcomes(self, day: str, stretch: Stretch, before: Certificate | None) -> Iterator[Outcome]:
        """What is found of a day, or a part of one. Args: ``before``: the last certificate of the same stretch."""
        evidence = Evidence(self._job, stretch.from_ms, stretch.until_ms)
        self.unreadable = tuple(dict.fromkeys((*self.unreadable, *evidence.unreadable)))
        yield from self._unlisted
        for account in self._accounts:
            for log_type in self._job.log_types_of(account.name):
                if not self._options.log_types or log_type in self._options.log_types:
                    for outcome in self._stream(account, log_type, day, stretch, evidence):
                        yield _with_late(outcome, before)

    def close(self) -> None:
        for reader in self._readers.values():
            if reader is not None:
                reader.close()

    def _listed(self) -> tuple[list[Account], list[Outcome]]:
        """The accounts that are read, children in the place of parents; and what is said of parents that cannot be listed."""
        accounts: list[Account] = []
        unlisted: list[Outcome] = []
        for account in self._job.accounts:
            if not account.is_msp:
                accounts.append(account)
                continue
            try:
                accounts += [c.account for c in list_children(account, self._job.reading.request_timeout_secs).children]
            except DuoLogSyncError as error:
                why = f"The children of {account.name} cannot be listed: {error}"
                unlisted.append(Outcome(account=account.name, log_type="", destination="", verdict=Verdict.UNKNOWN, why=why))
        return [each for each in accounts if self._options.takes_account(each.name)], unlisted

    def _stream(self, account: Account, log_type: str, day: str, stretch: Stretch, evidence: Evidence) -> Iterable[Outcome]:
        destinations = [
            each
            for each in self._job.destinations_of(account.name, log_type)
            if not self._options.destinations or each.name in self._options.destinations
        ]
        try:
            sides = [self._side(account, log_type, each, evidence) for each in destinations]
        except DuoLogSyncError as error:  # a redaction's key that cannot be read, say
            return [_unknown(account, log_type, each, str(error)) for each in destinations]
        if not sides:
            return []
        try:
            duo = self._compare(self._read(account, log_type, stretch), sides, stretch)
        except DuoLogSyncError as error:
            return [side.unknown(f"Duo does not serve it now: {error}") for side in sides]
        whole = stretch == (begin_of(day), begin_of(day) + DAY_MS)
        return [side.outcome(duo, day if whole else None) for side in sides]

    def _compare(self, rows: DuoRows, sides: list[Side], stretch: Stretch) -> DuoSide:
        """Gives all that Duo serves to the sides, which settle part by part. Raises what reading raises."""
        total, digest = 0, 0
        for page in rows.pages():
            for row, time_ms in page:
                total += 1
                digest += int.from_bytes(hashlib.blake2b(row, digest_size=_DIGEST_BYTES).digest(), "big")
                for side in sides:
                    side.add(row, time_ms)
            self._settle([side for side in sides if side.is_full], stretch)
        self._settle(sides, stretch)
        return DuoSide(total, f"{digest % (1 << (8 * _DIGEST_BYTES)):0{2 * _DIGEST_BYTES}x}", rows.withheld)

    def _settle(self, sides: list[Side], stretch: Stretch) -> None:
        recent = time.time() - stretch.until_ms / 1000 < _RECENT_SECS
        for side in sides:
            side.settle(self._options.wait_secs if recent or self._options.fix else 0.0)

    def _side(self, account: Account, log_type: str, destination: Destination, evidence: Evidence) -> Side:
        stream = stream_of(account, log_type)
        subscription = Subscription(stream, destination.name)
        if destination.name not in self._readers:
            self._readers[destination.name] = reader_of(destination)
        reader = self._readers[destination.name]
        expected = Expected(self._job, stream, destination, of_rows=reader is not None and reader.of_rows)
        again = partial(send_again, self._job, stream, destination, read=partial(self._read, account, log_type))
        known = evidence.of(subscription)
        return Side(subscription, expected, reader, known, again if self._options.fix else None)

    def _read(self, account: Account, log_type: str, stretch: Stretch) -> DuoRows:
        return DuoRows(account, log_type, self._job.reading, stretch, self._job.storage.checkpoint_dir)


def _with_late(outcome: Outcome, before: Certificate | None) -> Outcome:
    """With how many events Duo has published since the last audit of the same stretch."""
    earlier = next((each for each in (before.streams if before else ()) if each.whose == outcome.whose), None)
    if earlier is None or earlier.duo is None or outcome.duo is None:
        return outcome
    return msgspec.structs.replace(outcome, late=max(0, outcome.duo - earlier.duo))


def _unknown(account: Account, log_type: str, destination: Destination, why: str) -> Outcome:
    return Outcome(account=account.name, log_type=log_type, destination=destination.name, verdict=Verdict.UNKNOWN, why=why)
