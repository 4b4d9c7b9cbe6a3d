"""Texts of those facts that are not texts, for formats that know nothing else: CEF and LEEF.

Place in the flow: named by the tables of such a format; called for facts that are there.

Contract: a list is one text, because these formats have no lists. What each function is given is a field of ``EventFacts``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import msgspec

from transforms.facts import (
    NOWHERE,
    Assessment,
    Attack,
    Device,
    Explanation,
    Passport,
    Place,
    PriorityReason,
    SecurityAgent,
    TrustedSession,
    Truth,
    truth_word,
)

_encode = msgspec.json.Encoder().encode

truth = truth_word


def listed(texts: Iterable[str | None], separator: str = ",") -> str | None:
    """Texts in one, those that are empty left out; None where none is left."""
    return separator.join(filter(None, texts)) or None


def ipv4(address: str) -> str | None:
    """The address if it is one of IPv4, which alone may stand in ``src``."""
    return None if ":" in address else address


def ipv6(address: str) -> str | None:
    """The address if it is one of IPv6, which has a key of its own."""
    return address if ":" in address else None


@lru_cache(maxsize=1024)  # few browsers and places make up a log
def words(*parts: str | None) -> str | None:
    """The parts that are there, with a space between; None where none is."""
    return " ".join([part for part in parts if part]) or None


def client(device: Device) -> str | None:
    """The user agent, or browser and version where Duo tells no more."""
    return device.user_agent or words(device.browser, device.browser_version)


def place(where: Place) -> str | None:
    """``Ann Arbor, Michigan, United States``."""
    return None if where is NOWHERE else ", ".join(filter(None, (where.city, where.state, where.country))) or None


def agents(programs: list[SecurityAgent] | str) -> str | None:
    """``Cisco Secure Endpoint 8.4.1; Windows Defender 4.18``."""
    if isinstance(programs, str):
        return programs
    return listed((words(a.security_agent, a.version) for a in programs), "; ")


def session(info: TrustedSession) -> str | None:
    """The id of the session."""
    return info.trusted_session_uuid


def passport_supported(passport: Passport) -> str | None:
    """Whether."""
    return truth_word(passport.is_supported)


def passport_reason(passport: Passport) -> str | None:
    """Why, or why not."""
    return passport.reason


def assessed(name: str, field: str) -> Callable[[dict[str, Assessment]], str | None]:
    """What reads one field of the assessment ``name``."""

    def read(assessments: dict[str, Assessment]) -> str | None:
        assessment = assessments.get(name)
        if assessment is None:
            return None
        value: list[str] | Truth = getattr(assessment, field)
        return listed(value) if isinstance(value, list) else truth_word(value)

    return read


def detectors(attacks: list[Attack]) -> str | None:
    """The names of the patterns that were found."""
    return listed(attack.detector for attack in attacks)


def as_json(attacks: list[Attack]) -> str | None:
    """All of them with all their numbers: a JSON text in Duo's words, without what is not there."""
    told = [{name: fact for name, fact in msgspec.structs.asdict(attack).items() if fact is not None} for attack in attacks]
    return _encode(told).decode() if any(told) else None


def summaries(explanations: list[Explanation]) -> str | None:
    """Why Duo finds something suspicious, in its sentences."""
    return listed((e.summary for e in explanations), "; ")


def kinds(reasons: list[Explanation] | list[PriorityReason]) -> str | None:
    """The same in Duo's words for them."""
    return listed((reason.type for reason in reasons), ",")


def labels(reasons: list[PriorityReason]) -> str | None:
    """What the reasons are called."""
    return listed((reason.label for reason in reasons), "; ")
