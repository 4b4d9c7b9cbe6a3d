"""CEF, the Common Event Format of ArcSight, read by nearly every SIEM.

Place in the flow: one of ``FORMATS``. The log type says what the row says (``EventFacts``), a profile says where it goes
(``standard``, ``dls``), ``encoder`` says how it is written.

Contract: see ``transforms.formats``. Always ``CEF:0``, because some parsers know no other. The first pair is always ``cnt=1``,
which the specification lets one leave out: liblognorm (rsyslog's mmnormalize) loses the first letter of the first key, and so
nothing that matters. Refused are rows that are no JSON object (``not_an_object``) and events of a log type that this release
does not know (``unknown_log_type``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

from transforms.config_keys import Doc
from transforms.facts import EventFacts
from transforms.formats.cef import dls, encoder, standard
from transforms.formats.from_facts import FactsFormatter
from transforms.formats.version import PRODUCT_VERSION
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions


@dataclass(frozen=True, slots=True)
class Profile:
    """What a flavour of CEF calls itself and where it puts things."""

    vendor: str
    product: str
    class_and_name: Callable[[EventFacts], tuple[str, str]]
    extension: Callable[[DuoEvent, EventFacts], list[str]]


PROFILES = {
    "standard": Profile(standard.VENDOR, standard.PRODUCT, standard.class_and_name, standard.extension),
    "dls": Profile(dls.VENDOR, dls.PRODUCT, dls.class_and_name, dls.extension),
}


@dataclass(frozen=True, slots=True)
class CefOptions(FormatOptions):
    """The Common Event Format."""

    name: ClassVar[str] = "cef"
    summary: ClassVar[str] = "the Common Event Format"
    default_header: ClassVar[str] = "rfc5424"
    profile: Annotated[
        Literal["standard", "dls"],
        Doc(
            "dls keeps class ids and custom strings as Duo Log Sync wrote them, for existing SIEM rules.",
            elsewhere="only cef has profiles",
        ),
    ] = "standard"


def make(settings: Format) -> FactsFormatter:
    """A formatter for the chosen options. Called through ``FORMATS``."""
    options = settings.options
    assert isinstance(options, CefOptions)
    profile = PROFILES.get(options.profile)
    if profile is None:
        raise ValueError(f"Unknown CEF profile {options.profile!r}: use {' or '.join(PROFILES)}.")
    return FactsFormatter(_Writer(profile), settings.header, tagged=False)


class _Writer:
    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._class_and_name = profile.class_and_name
        self._extension = profile.extension
        # Few kinds of event make up a log; the bound is for the day on which Duo invents names without end.
        self._opening = lru_cache(maxsize=1024)(self._make_opening)

    def __call__(self, event: DuoEvent, facts: EventFacts) -> bytes:
        opening = self._opening(*self._class_and_name(facts), facts.severity)
        return "".join((opening, *self._extension(event, facts))).encode()

    def _make_opening(self, event_class: str, title: str, severity: int) -> str:
        profile = self._profile
        event_class = encoder.constant(event_class, "unknown", encoder.STRING)
        title = encoder.constant(title, "Duo event", encoder.NAME)
        return f"CEF:0|{profile.vendor}|{profile.product}|{PRODUCT_VERSION}|{event_class}|{title}|{severity}|cnt=1"
