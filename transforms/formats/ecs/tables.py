"""Which fact of an event goes to which field of ECS: tables, one per category of events.

Place in the flow: read by ``ecs``, which adds what is not a single fact: times, ``related``, what kind of event it is.

Contract: all that the ingest pipelines of Elastic's package cisco_duo write of the same row stands under the same name with the
same type (what they look up by address, such as ``source.as``, Elastic adds itself). Besides, fields of ECS that those
leave empty, and under ``cisco_duo.LOG`` by Duo's own names what neither has a place for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from transforms.facts import Assessment, Attack, Passport, Place, SecurityAgent, truth_word
from transforms.formats import values
from transforms.formats.tree import Leaf, all_told, parsed, small_number, told, truth, whole_number

DATASETS = {"telephony": "telephony_v2", "trustmonitor": "trust_monitor"}
"""What Elastic calls a log where that is not our name of it."""

_OUTCOMES = {"success", "failure"}


def _names(names: list[str]) -> list[str] | None:
    return [name for name in names if name] or None


_TYPES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("policy_enabled", "preview_mode_enabled", "is_supported", "shadow_mode", "suppressed"), truth),
    **dict.fromkeys(("detected_occurrences", "threshold_occurrences", "threshold_time_frame"), whole_number),
    "unrealistic_travel_velocity": str,
    "detected_attack_detectors": _names,
}


def timestamp(time_ms: int) -> str:
    """``2023-11-14T22:13:20.123Z``."""
    second, ms = divmod(time_ms, 1000)
    return f"{_second(second)}.{ms:03d}Z"


@lru_cache(maxsize=1024)  # events come in the order of their time, many in one second
def _second(second: int) -> str:
    return dt.datetime.fromtimestamp(second, dt.timezone.utc).isoformat()[:19]


def outcome(word: str) -> str | None:
    """One of the words that ECS has for it."""
    return word if word in _OUTCOMES or not word else "unknown"


def _seconds(time_ms: int) -> int:
    return time_ms // 1000


def url(text: str) -> dict[str, str]:
    """An address of a page, and its parts where it has them."""
    if not text:
        return {}
    try:
        parts = urlsplit(text)
        found = {"scheme": parts.scheme, "domain": parts.hostname, "path": parts.path, "query": parts.query}
    except ValueError:
        found = {}
    return {"original": text, **{name: part for name, part in found.items() if part}}


def _agents(programs: list[SecurityAgent] | str) -> Any:
    # Elastic keeps objects only; a word says no more than that Duo does not know.
    return None if isinstance(programs, str) else all_told(programs)


def _agents_or_word(programs: list[SecurityAgent] | str) -> Any:
    return programs if isinstance(programs, str) else all_told(programs)


def _assessments(assessments: dict[str, Assessment]) -> Any:
    kept = {name: _typed(told(assessment)) for name, assessment in assessments.items()}
    return {name: assessment for name, assessment in kept.items() if assessment}


def _attacks(attacks: list[Attack]) -> Any:
    return [typed for attack in all_told(attacks) if (typed := _typed(attack))]


def _passport(passport: Passport) -> Any:
    return _typed(told(passport))


def _typed(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with the types that Elastic's package gives them; what cannot have its type is left out."""
    for name in facts.keys() & _TYPES.keys():
        value = _TYPES[name](facts[name])
        if value is None:
            del facts[name]
        else:
            facts[name] = value
    return facts


def _location(at: str, path: str) -> tuple[Leaf, ...]:
    return tuple(Leaf(f"{at}.{name}", f"{path}.{name}") for name in Place.__struct_fields__)


_EVENT = (
    Leaf("event.id", "event_id"),
    Leaf("event.code", "event_class"),
    Leaf("event.action", "action"),
    Leaf("event.outcome", "outcome", outcome),
    Leaf("event.reason", "reason"),
    Leaf("event.severity", "severity"),
    Leaf("organization.id", "tenant"),
)
_SOURCE = (
    Leaf("source.ip", "src_ip"),
    Leaf("source.port", "src_port"),
    Leaf("source.geo.city_name", "src_place.city"),
    Leaf("source.geo.region_name", "src_place.state"),
    Leaf("source.geo.country_name", "src_place.country"),
    Leaf("user_agent.original", "device.user_agent"),
    Leaf("user_agent.name", "device.browser"),
    Leaf("user_agent.version", "device.browser_version"),
    Leaf("user_agent.os.name", "device.os"),
    Leaf("user_agent.os.version", "device.os_version"),
)
_USER = (
    Leaf("user.name", "actor.name"),
    Leaf("user.id", "actor.key"),
)
_TARGET_USER = (
    Leaf("user.target.name", "target_user.name"),
    Leaf("user.target.id", "target_user.key"),
)
_LOGGED_IN = (
    *_USER,
    Leaf("user.email", "log_in.email"),
    Leaf("source.user.name", "actor.name"),
    Leaf("source.user.id", "actor.key"),
    Leaf("source.user.email", "log_in.email"),
    Leaf("source.user.group.name", "actor.groups", _names),
)


def _access_device(at: str) -> tuple[Leaf, ...]:
    return (
        Leaf(f"{at}.hostname", "device.hostname"),
        Leaf(f"{at}.ip", "src_ip"),
        Leaf(f"{at}.port", "src_port"),
        Leaf(f"{at}.epkey", "device.epkey"),
        Leaf(f"{at}.flash_version", "device.flash_version"),
        Leaf(f"{at}.java_version", "device.java_version"),
        Leaf(f"{at}.is_encryption_enabled", "device.is_encryption_enabled", truth_word),
        Leaf(f"{at}.is_firewall_enabled", "device.is_firewall_enabled", truth_word),
        Leaf(f"{at}.is_password_set", "device.is_password_set", truth_word),
        *_location(f"{at}.location", "src_place"),
    )


def _log_in(at: str) -> tuple[Leaf, ...]:
    """A log-in under a name, with Duo's own names."""
    same = ("event_type", "result", "reason", "factor", "remembered_factor", "email", "alias", "ood_software")
    return (
        *(Leaf(f"{at}.{name}", f"log_in.{name}") for name in same),
        Leaf(f"{at}.trusted_endpoint_status", "log_in.trusted_endpoint_status"),
        Leaf(f"{at}.trusted_session_info.trusted_session_uuid", "log_in.trusted_session_info", values.session),
        Leaf(f"{at}.passport_assessment", "log_in.passport_assessment", _passport),
        Leaf(f"{at}.adaptive_trust_assessments", "log_in.adaptive_trust_assessments", _assessments),
        Leaf(f"{at}.rbfs_triggered_attacks", "log_in.rbfs_triggered_attacks", _attacks),
        Leaf(f"{at}.application.key", "application.key"),
        Leaf(f"{at}.application.name", "application.name"),
        Leaf(f"{at}.application.destination_name", "application.destination_name"),
        Leaf(f"{at}.auth_device.name", "auth_device.name"),
        Leaf(f"{at}.auth_device.key", "auth_device.key"),
        Leaf(f"{at}.auth_device.ip", "auth_ip"),
        Leaf(f"{at}.auth_device.port", "auth_port"),
        *_location(f"{at}.auth_device.location", "auth_place"),
        *_access_device(f"{at}.access_device"),
    )


def _party(at: str, path: str) -> tuple[Leaf, ...]:
    return (
        *(Leaf(f"{at}.{name}", f"{path}.{name}") for name in ("key", "name", "type")),
        Leaf(f"{at}.details", f"{path}.details", parsed),
    )


_ACTIVITY = "cisco_duo.activity"
_TRUST = "cisco_duo.trust_monitor"
_SURFACED = f"{_TRUST}.surfaced_auth"
_FINDING = (
    Leaf("url", "url", url),
    *(
        Leaf(f"{_TRUST}.{name}", f"finding.{name}", truth)
        for name in ("from_common_netblock", "from_new_user", "low_risk_ip", "priority_event", "triaged_as_interesting")
    ),
    Leaf(f"{_TRUST}.sekey", "event_id"),
    Leaf(f"{_TRUST}.type", "action"),
    Leaf(f"{_TRUST}.state", "finding.state"),
    Leaf(f"{_TRUST}.state_updated_timestamp", "finding.state_updated_ms"),
    Leaf(f"{_TRUST}.bypass_status_enabled", "finding.bypass_enabled_ms"),
    Leaf(f"{_TRUST}.triage_event_uri", "url"),
    Leaf(f"{_TRUST}.explanations", "finding.explanations", all_told),
    Leaf(f"{_TRUST}.priority_reasons", "finding.priority_reasons", all_told),
)

TABLES: dict[str, tuple[Leaf, ...]] = {
    "authentication": (
        *_EVENT,
        *_SOURCE,
        *_LOGGED_IN,
        Leaf("cisco_duo.auth.txid", "event_id"),
        Leaf("cisco_duo.auth.access_device.security_agents", "device.security_agents", _agents),
        *_log_in("cisco_duo.auth"),
    ),
    "activity": (
        *_EVENT,
        *_SOURCE,
        *_TARGET_USER,
        Leaf(f"{_ACTIVITY}.id", "event_id"),
        Leaf(f"{_ACTIVITY}.akey", "tenant"),
        Leaf(f"{_ACTIVITY}.outcome", "outcome", str.upper),
        Leaf(f"{_ACTIVITY}.action.name", "action"),
        Leaf(f"{_ACTIVITY}.action.details", "message"),
        *_party(f"{_ACTIVITY}.actor", "actor"),
        *_party(f"{_ACTIVITY}.target", "target"),
        *_party(f"{_ACTIVITY}.old_target", "old_target"),
        *(Leaf(f"{_ACTIVITY}.application.{name}", f"application.{name}") for name in ("key", "name", "type")),
        Leaf(f"{_ACTIVITY}.access_device.ip.address", "src_ip"),
        *(
            Leaf(f"{_ACTIVITY}.access_device.{name}", f"device.{name}")
            for name in ("hostname", "epkey", "browser", "browser_version", "os", "os_version")
        ),
        *_location(f"{_ACTIVITY}.access_device.location", "src_place"),
    ),
    "telephony": (
        *_EVENT,
        Leaf("cisco_duo.telephony_v2.id", "event_id"),
        Leaf("cisco_duo.telephony_v2.event_type", "telephony.context"),
        Leaf("cisco_duo.telephony_v2.type", "telephony.type"),
        Leaf("cisco_duo.telephony_v2.phone_number", "telephony.phone"),
        Leaf("cisco_duo.telephony_v2.credits", "telephony.credits", small_number),
        Leaf("cisco_duo.telephony_v2.txid", "telephony.txid"),
    ),
    # A log-in that was surfaced ...
    "trustmonitor": (
        *_EVENT,
        *_SOURCE,
        *_LOGGED_IN,
        *_FINDING,
        *_log_in(_SURFACED),
        Leaf(f"{_SURFACED}.access_device.security_agents", "device.security_agents", _agents_or_word),
        Leaf(f"{_SURFACED}.timestamp", "finding.log_in_ms", _seconds),
        Leaf(f"{_SURFACED}.txid", "finding.log_in_id"),
        Leaf(f"{_SURFACED}.isotimestamp", "finding.log_in_ms", timestamp),
        Leaf(f"{_SURFACED}.user.name", "actor.name"),
        Leaf(f"{_SURFACED}.user.key", "actor.key"),
        Leaf(f"{_SURFACED}.user.groups", "actor.groups", _names),
        *(
            Leaf(f"{_SURFACED}.access_device.{name}", f"device.{name}")
            for name in ("browser", "browser_version", "os", "os_version")
        ),
    ),
    # ... or what somebody did for somebody.
    "trustmonitor by somebody": (
        *_EVENT,
        *_SOURCE,
        *_USER,
        *_TARGET_USER,
        *_FINDING,
        Leaf(f"{_TRUST}.enabled_by.key", "actor.key"),
        Leaf(f"{_TRUST}.enabled_by.name", "actor.name"),
        Leaf(f"{_TRUST}.enabled_for.key", "target_user.key"),
        Leaf(f"{_TRUST}.enabled_for.name", "target_user.name"),
    ),
    "admin": (
        *_EVENT,
        *_SOURCE[:1],
        *_USER[:1],
        Leaf("message", "message"),
        Leaf("user.target.name", "target.name"),
        Leaf("cisco_duo.admin.action", "action"),
        Leaf("cisco_duo.admin.action_performed_on", "target.name"),
        Leaf("cisco_duo.admin.user.name", "actor.name"),
        Leaf("cisco_duo.admin.flattened", "target.details", parsed),
    ),
    "offline_enrollment": (
        *_EVENT,
        *_SOURCE[-5:],
        *_USER[:1],
        Leaf("message", "message"),
        Leaf("cisco_duo.offline_enrollment.action", "action"),
        Leaf("cisco_duo.offline_enrollment.object", "application.name"),
        Leaf("cisco_duo.offline_enrollment.user.name", "actor.name"),
        Leaf("cisco_duo.offline_enrollment.description.hostname", "device.hostname"),
        Leaf("cisco_duo.offline_enrollment.description.user_agent", "device.user_agent"),
        Leaf("cisco_duo.offline_enrollment.description.factor", "log_in.factor"),
    ),
}


def table_of_all(log_type: str) -> tuple[Leaf, ...]:
    """For a log type that has no table here."""
    at = f"cisco_duo.{log_type}"
    return (
        *_EVENT,
        *_SOURCE,
        *_LOGGED_IN,
        *_TARGET_USER,
        Leaf("message", "message"),
        *_log_in(at),
        Leaf(f"{at}.access_device.security_agents", "device.security_agents", _agents),
        *_party(f"{at}.target", "target"),
        *_party(f"{at}.old_target", "old_target"),
    )
