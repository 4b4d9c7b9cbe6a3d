"""Which fact of an event goes to which attribute of OCSF: tables, one per category of events.

Place in the flow: read by ``ocsf``, which adds what is made of several facts: who did what to whom, factors, findings.

Contract: an attribute holds what the schema means by it, or the fact goes to ``unmapped``, under Duo's own name. So a country
is in ``location.country`` only as the two letters that the schema wants, and an e-mail address only if it is one. No fact is in
neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from transforms.facts import Assessment, SecurityAgent
from transforms.formats import values
from transforms.formats.tree import Leaf, all_told, parsed, told

_EMAIL = re.compile(r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}")
_OTHER = 99

# By an event's severity of 0 to 10: informational, low, medium, high, critical.
SEVERITIES = (1, 1, 1, 1, 2, 2, 3, 4, 4, 4, 5)
SEVERITY_NAMES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}

_OS_TYPES = {"Windows": 100, "Windows Phone": 101, "Linux": 200, "Android": 201, "Mac OS X": 300, "macOS": 300, "iOS": 301}


def email(text: str) -> str | None:
    """The text if it is an e-mail address."""
    return text if _EMAIL.fullmatch(text) else None


def _no_email(text: str) -> str | None:
    return None if _EMAIL.fullmatch(text) else text


def _country(text: str) -> str | None:
    return text if _COUNTRY.fullmatch(text) else None


def _no_country(text: str) -> str | None:
    return None if _COUNTRY.fullmatch(text) else text


def _os_type(name: str) -> int:
    return _OS_TYPES.get(name, _OTHER) if name else 0


def _groups(names: list[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names if name]


def _agents(programs: list[SecurityAgent] | str) -> Any:
    if isinstance(programs, str):
        return None
    return [_filled(name=p.security_agent, version=p.version) for p in programs if p.security_agent]


def _other_agents(programs: list[SecurityAgent] | str) -> Any:
    """What is no agent to OCSF, which wants a name."""
    return programs if isinstance(programs, str) else all_told(p for p in programs if not p.security_agent)


def _filled(**texts: str | None) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _assessments(assessments: dict[str, Assessment]) -> Any:
    kept = {name: told(assessment) for name, assessment in assessments.items()}
    return {name: assessment for name, assessment in kept.items() if assessment}


def location(at: str, path: str, other: str) -> tuple[Leaf, ...]:
    """A place; ``other`` is where a country goes that is no code."""
    return (
        Leaf(f"{at}.city", f"{path}.city"),
        Leaf(f"{at}.region", f"{path}.state"),
        Leaf(f"{at}.country", f"{path}.country", _country),
        Leaf(f"{other}.country", f"{path}.country", _no_country),
    )


def source(at: str) -> tuple[Leaf, ...]:
    """The device that it was done from, as an endpoint."""
    return (
        Leaf(f"{at}.ip", "src_ip"),
        Leaf(f"{at}.port", "src_port"),
        Leaf(f"{at}.hostname", "device.hostname"),
        Leaf(f"{at}.uid", "device.epkey"),
        Leaf(f"{at}.os.name", "device.os"),
        Leaf(f"{at}.os.type_id", "device.os", _os_type),
        Leaf(f"{at}.os.version", "device.os_version"),
        Leaf(f"{at}.agent_list", "device.security_agents", _agents),
        *location(f"{at}.location", "src_place", "unmapped.access_device.location"),
        *(
            Leaf(f"unmapped.access_device.{name}", f"device.{name}")
            for name in (
                "browser", "browser_version", "flash_version", "java_version", "is_encryption_enabled",
                "is_firewall_enabled", "is_password_set",
            )
        ),
        Leaf("unmapped.access_device.security_agents", "device.security_agents", _other_agents),
    )  # fmt: skip


def auth_device(at: str) -> tuple[Leaf, ...]:
    """The device of the second factor."""
    return (
        Leaf(f"{at}.name", "auth_device.name"),
        Leaf(f"{at}.uid", "auth_device.key"),
        Leaf(f"{at}.ip", "auth_ip"),
        Leaf("unmapped.auth_device.port", "auth_port"),
        *location(f"{at}.location", "auth_place", "unmapped.auth_device.location"),
    )


def _unmapped(path: str, *names: str, at: str = "unmapped", value: Callable[[Any], Any] | None = None) -> tuple[Leaf, ...]:
    return tuple(Leaf(f"{at}.{name}", f"{path}.{name}", value) for name in names)


_EVENT = (
    Leaf("time", "time_ms"),
    Leaf("message", "message"),
    Leaf("severity_id", "severity", SEVERITIES.__getitem__),
    Leaf("metadata.uid", "event_id"),
    Leaf("metadata.original_event_uid", "event_id"),
    Leaf("metadata.event_code", "action"),
    Leaf("metadata.tenant_uid", "tenant"),
    Leaf("unmapped.event_class", "event_class"),
)
_APPLICATION = _unmapped("application", "key", "name", "type", "destination_name", at="unmapped.application")
_SERVICE = (Leaf("service.uid", "application.key"), Leaf("service.name", "application.name"), *_APPLICATION[2:])
_USER = (
    Leaf("user.name", "target_user.name"),
    Leaf("user.uid", "target_user.key"),
    Leaf("user.email_addr", "log_in.email", email),
    Leaf("user.groups", "target_user.groups", _groups),
    Leaf("unmapped.email", "log_in.email", _no_email),
)
_LOG_IN = (
    *auth_device("auth_device"),
    *_unmapped("log_in", "factor", "remembered_factor", "alias", "ood_software", "trusted_endpoint_status"),
    *_unmapped("log_in", "adaptive_trust_assessments", value=_assessments),
    *_unmapped("log_in", "rbfs_triggered_attacks", value=all_told),
    *_unmapped("log_in", "passport_assessment", value=told),
)
_TRUSTED_SESSION = Leaf("unmapped.trusted_session", "log_in.trusted_session_info", values.session)
_STATUS = (Leaf("status_code", "log_in.result"), Leaf("status_detail", "reason"))
_CHANGED = (
    Leaf("unmapped.actor.type", "actor.type"),
    Leaf("unmapped.actor.details", "actor.details", parsed),
    Leaf("unmapped.target.type", "target.type"),
    Leaf("unmapped.old_target.type", "old_target.type"),
)
_FINDING = (
    Leaf("finding_info.uid", "event_id"),
    Leaf("finding_info.title", "title"),
    Leaf("finding_info.desc", "finding.explanations", values.summaries),
    Leaf("finding_info.src_url", "url"),
    Leaf("finding_info.created_time", "time_ms"),
    Leaf("finding_info.modified_time", "finding.state_updated_ms"),
    Leaf("finding_info.first_seen_time", "finding.log_in_ms"),
    Leaf("metadata.correlation_uid", "finding.log_in_id"),
    *_unmapped("finding", "bypass_enabled_ms", "triaged_as_interesting", "priority_event"),
    *_unmapped("finding", "from_common_netblock", "from_new_user", "low_risk_ip"),
    *_unmapped("finding", "explanations", "priority_reasons", value=all_told),
)

TABLES: dict[str, tuple[Leaf, ...]] = {
    "authentication": (
        *_EVENT,
        *_STATUS,
        *_USER,
        *_SERVICE,
        Leaf("session.uid", "log_in.trusted_session_info", values.session),
        *source("src_endpoint"),
        *_LOG_IN,
    ),
    "enrollment": (*_EVENT, *_STATUS, *_USER, *_APPLICATION, _TRUSTED_SESSION, *source("src_endpoint"), *_LOG_IN),
    "activity": (*_EVENT, Leaf("status_detail", "reason"), *_APPLICATION, *source("src_endpoint"), *_CHANGED),
    "admin": (
        *_EVENT,
        Leaf("status_detail", "reason"),
        Leaf("src_endpoint.ip", "src_ip"),
        *_unmapped("log_in", "factor", "email"),
    ),
    "offline_enrollment": (
        *_EVENT,
        Leaf("user.name", "actor.name"),
        Leaf("src_endpoint.hostname", "device.hostname"),
        Leaf("http_request.user_agent", "device.user_agent"),
        *_unmapped("log_in", "factor"),
        *_APPLICATION,
    ),
    "telephony": (
        *_EVENT,
        Leaf("metadata.correlation_uid", "telephony.txid"),
        *_unmapped("telephony", "context", "type", "phone", "credits", "txid"),
    ),
    "trustmonitor": (
        *_EVENT,
        *_FINDING,
        *source("src_endpoint"),
        *_USER,
        *_APPLICATION,
        _TRUSTED_SESSION,
        *_unmapped("log_in", "event_type", "result", "reason"),
        *_LOG_IN,
    ),
}
TABLE_OF_ALL = (*_EVENT, *_STATUS, *_USER, *_APPLICATION, _TRUSTED_SESSION, *source("src_endpoint"), *_LOG_IN, *_CHANGED)
