"""A certificate: what was found of one day, as a value and as canonical JSON with its digest.

Place in the flow: ``auditor`` makes the outcomes, ``chain`` keeps certificates and verifies them, ``words`` tells them.

Contract: certificates are kept for years and shown to others: fields are only added. No event's content is in one; of what is
missing, Duo's ids and times. The digest is the SHA-256 of the certificate as canonical JSON (keys sorted, nothing between
tokens, UTF-8) without the digest itself. It is of what is written, not of what a release understands of it: one that has more
fields, or fewer, reckons the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

VERSION = 1
MOST_NAMED = 200
"""So many missing events of a stream and destination are named in a certificate; of more, their number is in it."""


class Verdict(str, Enum):
    """What is said of one day of a stream and destination. The first three are well."""

    STORED = "stored"  # the destination was asked, and has all that it should have
    DELIVERED = "delivered"  # it cannot be asked; this program confirmed as many as Duo has
    NOTHING = "nothing"  # nothing was to be delivered
    MISSING = "missing"  # events are not there, or were never read
    NOT_READ = "not_read"  # the program has not come so far yet
    UNKNOWN = "unknown"  # Duo or the destination did not answer, or there is no evidence


WELL = frozenset({Verdict.STORED, Verdict.DELIVERED, Verdict.NOTHING})


class Named(msgspec.Struct, frozen=True):
    """A missing event: Duo's id of it, or a digest of its content; and when it happened, milliseconds since the epoch."""

    id: str
    time_ms: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One stream on its way to one destination.

    Attributes:
      duo: events that Duo serves for the window now; None where it did not answer.
      duo_digest: a digest of the set of their keys, in any order: the same set has the same one.
      duo_withholds: that Duo counts beyond those that it gives.
      undated: of those, that say no time, and cannot be looked for.
      filtered: that no route takes, on purpose, as the configuration says now.
      expected: messages that should be there; more or fewer than events where a function makes them.
      stored: of those, that the destination has; None where it cannot be asked, or did not answer.
      repeats: that it has more often than it should. This is no gap.
      dead: of those that are not there: dead letters by reason. A replay sends them.
      before: that happened before the destination began with the log.
      not_read: behind the position up to which the program has delivered.
      missing: that should be there and are not; named: which.
      fixed: of those, that were read and sent again, and are there now.
      read: events of the day that the program has read and confirmed, as it counted; None where it has not counted this day.
      read_filtered, read_dead: of those; read_again: some of them were sent and counted twice, after an end without order.
      dropped: of read_dead, that are neither kept as dead letters nor were replayed, nor read anew by a backfill;
        dropped_is_known: what shows a replay is all there.
      backfilled: that backfills have read and confirmed.
      never_read: that Duo has and the program has not read, by number.
      late: that Duo has published since the audit of the day before this one.
      gone: that the program has read and Duo does not serve any more.
      why: what a person should know of the verdict.
    """

    account: str
    log_type: str
    destination: str
    verdict: Verdict
    why: str = ""
    duo: int | None = None
    duo_digest: str = ""
    duo_withholds: int = 0
    undated: int = 0
    filtered: int = 0
    expected: int = 0
    stored: int | None = None
    repeats: int = 0
    dead: dict[str, int] = {}
    before: int = 0
    not_read: int = 0
    missing: int = 0
    named: tuple[Named, ...] = ()
    fixed: int = 0
    read: int | None = None
    read_filtered: int = 0
    read_dead: int = 0
    read_again: bool = False
    dropped: int = 0
    dropped_is_known: bool = True
    backfilled: int = 0
    never_read: int = 0
    late: int = 0
    gone: int = 0

    @property
    def whose(self) -> tuple[str, str, str]:
        return self.account, self.log_type, self.destination

    @property
    def is_well(self) -> bool:
        return self.verdict in WELL


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one day.

    Attributes:
      number: counts certificates in the order in which they were made, over all days.
      previous: the digest of the one before; "" of the first.
      day, revision: of which day (UTC), and the how-manieth of it.
      from_ms, until_ms: the part of the day that was looked at; the end is not in it.
      made_ms: when it was made, by this machine's clock.
      program: the version of this program. config_sha256: of the configuration file.
      sha256: the digest of all of this.
    """

    v: int = VERSION
    number: int
    previous: str
    day: str
    revision: int
    from_ms: int
    until_ms: int
    made_ms: int
    program: str
    config_sha256: str
    streams: tuple[Outcome, ...]
    sha256: str = ""

    @property
    def is_well(self) -> bool:
        return all(outcome.is_well for outcome in self.streams)


def sealed(certificate: Certificate) -> Certificate:
    """The certificate with its digest."""
    return msgspec.structs.replace(certificate, sha256=digest_of(msgspec.to_builtins(certificate)))


def digest_of(written: Mapping[str, Any]) -> str:
    """The digest that a certificate should have, as it is written."""
    return hashlib.sha256(canonical({key: value for key, value in written.items() if key != "sha256"})).hexdigest()


def canonical(value: object) -> bytes:
    """A value as canonical JSON."""
    return msgspec.json.encode(value, order="sorted")
