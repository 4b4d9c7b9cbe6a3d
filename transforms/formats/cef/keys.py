"""Which fact of an event goes to which key of CEF's extension: rows of a table, and what writes an event by such a table.

Place in the flow: the profiles (``standard``, ``dls``) are tables of these rows, one per category of events; ``Writer`` reads
the facts that a table names and hands them to ``encoder``.

Contract: a table names no key twice. The specification has no key for many things that Duo says. For these it lets a vendor
name keys of its own: one alphanumeric word that begins with vendor and product, so ``CiscoDuo…``. Readers keep them as further
data; docs/cef.md lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from transforms.facts import EventFacts
from transforms.formats import values
from transforms.formats.cef import encoder

OWN = " CiscoDuo"


class Key(NamedTuple):
    """One key and the fact that it holds.

    Attributes:
      key: with ``=`` and a space in front; with the label's own pair before it where it has one.
      path: of the fact, from ``EventFacts`` on.
      longest: bytes that a value may have.
      text: makes a text of a fact that is none; None for texts.
    """

    key: str
    path: str
    longest: int = encoder.STRING
    text: Callable[[Any], str | None] | None = None


def own(name: str, path: str, text: Callable[[Any], str | None] | None = None, longest: int = encoder.STRING) -> Key:
    """A key that the specification does not have."""
    return Key(f"{OWN}{name}=", path, longest, text)


def custom(slot: str, label: str, path: str, text: Callable[[Any], str | None] | None = None) -> Key:
    """One of the specification's numbered keys, which need a label: both are written together and left out together."""
    longest = encoder.STRING if slot.startswith("flexString") else encoder.CUSTOM_STRING
    return Key(f" {slot}Label={encoder.constant(label, 'label', encoder.LABEL)} {slot}=", path, longest, text)


class Writer:
    """Writes events by a table, all facts of one in one go.

    Few rows have been looked at by Duo's risk engine; of the others the keys of ``RISK`` are not even asked for.
    """

    __slots__ = ("_is_assessed", "_usual", "_whole")

    def __init__(self, table: Iterable[Key], further: Iterable[tuple[str, int]] = ()) -> None:
        """``further``: keys and longest values of texts that are no facts; the caller hands them over with each event."""
        table, further = tuple(table), tuple(further)
        self._is_assessed = attrgetter(*{key.path: None for key in RISK})
        self._whole = _Plan(table, further)
        self._usual = _Plan([key for key in table if key not in RISK], further)

    def __call__(self, facts: EventFacts, *further: str | None) -> list[str]:
        """Key and value in turn, each key with a space in front."""
        plan = self._whole if any(self._is_assessed(facts)) else self._usual
        texts = [*plan.facts_of(facts), *further]
        for number, text in plan.made:
            fact = texts[number]
            if fact is not None:
                texts[number] = text(fact)
        return encoder.write_row(plan.layout, texts)


class _Plan:
    """A table, taken apart: what reads all its facts at once, what makes texts of some, and what is written."""

    __slots__ = ("facts_of", "layout", "made")

    def __init__(self, table: Sequence[Key], further: Sequence[tuple[str, int]]) -> None:
        self.facts_of = attrgetter(*(key.path for key in table))
        self.made = tuple((number, key.text) for number, key in enumerate(table) if key.text)
        self.layout = encoder.lay_out(*zip(*((key.key, key.longest) for key in table), *further, strict=True))


WHO = (
    Key(" suser=", "actor.name"),
    Key(" suid=", "actor.key"),
    Key(" duser=", "target_user.name"),
    Key(" duid=", "target_user.key"),
)
SOURCE = (
    Key(encoder.SRC, "src_ip", text=values.ipv4),
    Key(encoder.SRC_V6, "src_ip", text=values.ipv6),
)
ACCESS_DEVICE = (
    Key(" spt=", "src_port", text=str),
    own("AccessCity", "src_place.city"),
    own("AccessState", "src_place.state"),
    own("AccessCountry", "src_place.country"),
    own("AccessOs", "device.os"),
    own("AccessOsVersion", "device.os_version"),
    own("AccessBrowser", "device.browser"),
    own("AccessBrowserVersion", "device.browser_version"),
    own("AccessEpkey", "device.epkey"),
)
POSTURE = (
    own("AccessEncryption", "device.is_encryption_enabled", values.truth),
    own("AccessFirewall", "device.is_firewall_enabled", values.truth),
    own("AccessPassword", "device.is_password_set", values.truth),
    own("AccessSecurityAgents", "device.security_agents", values.agents),
)
AUTH_DEVICE = (
    own("AuthIp", "auth_ip"),
    own("AuthPort", "auth_port", str),
    own("AuthKey", "auth_device.key"),
    own("AuthCity", "auth_place.city"),
    own("AuthState", "auth_place.state"),
    own("AuthCountry", "auth_place.country"),
)
LOG_IN = (
    own("Alias", "log_in.alias"),
    own("RememberedFactor", "log_in.remembered_factor"),
    own("OutOfDateSoftware", "log_in.ood_software"),
    own("DestinationName", "application.destination_name"),
    own("TrustedSession", "log_in.trusted_session_info", values.session),
)
RISK = (
    own("PassportSupported", "log_in.passport_assessment", values.passport_supported),
    own("PassportReason", "log_in.passport_assessment", values.passport_reason),
    *(
        own(f"{name}{fact}", "log_in.adaptive_trust_assessments", values.assessed(assessment, field))
        for name, assessment in (("MoreSecureAuth", "more_secure_auth"), ("RememberMe", "remember_me"))
        for fact, field in (
            ("TrustLevel", "trust_level"),
            ("Reason", "reason"),
            ("PolicyEnabled", "policy_enabled"),
            ("PreviewMode", "preview_mode_enabled"),
            ("AttackDetectors", "detected_attack_detectors"),
        )
    ),
    own("AttackDetectors", "log_in.rbfs_triggered_attacks", values.detectors),
    own("Attacks", "log_in.rbfs_triggered_attacks", values.as_json, encoder.CUSTOM_STRING),
)
# What the log types of today have numbered keys for.
PLACED = (
    own("ActorType", "actor.type"),
    own("TargetType", "target.type"),
    own("TargetName", "target_thing.name"),
    own("TargetKey", "target_thing.key"),
    own("ApplicationKey", "application.key"),
    own("ApplicationType", "application.type"),
    own("Factor", "log_in.factor"),
    own("Result", "log_in.result"),
    own("Email", "log_in.email"),
    own("Groups", "actor.groups", values.listed),
    own("AuthDevice", "auth_device.name"),
    own("TrustedEndpointStatus", "log_in.trusted_endpoint_status"),
)
CHANGES = (
    own("ActorDetails", "actor.details", longest=encoder.CUSTOM_STRING),
    own("TargetDetails", "target.details", longest=encoder.CUSTOM_STRING),
    own("OldTargetName", "old_target.name"),
    own("OldTargetKey", "old_target.key"),
    own("OldTargetType", "old_target.type"),
    own("OldTargetDetails", "old_target.details", longest=encoder.CUSTOM_STRING),
)
