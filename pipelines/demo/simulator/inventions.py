"""Invents events in the shapes that Duo's logs really have, with all that makes them hard to parse.

Place in the flow: ``rows`` asks for a few hundred inventions per log, once, and makes every event's bytes from them.
Contract: the same seed gives the same inventions. What is different in every event (id, times) is left as a marker: a string
``@@ID@@``, ``@@TXID@@``, ``@@ISO@@``, ``@@ISOSECS@@``, ``@@NAME@@`` (quoted in the row), ``@@SECS@@`` or ``@@MS@@`` (numbers in
the row).
Now and then a value is null, missing, "unknown", of another type, or of a kind that Duo added after this was written.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec

from pipelines.demo.simulator import people

Row = dict[str, Any]


def auth(rng: random.Random, row_bytes: int) -> Row:
    """A row of ``/admin/v2/logs/authentication``; group names are added until it has about ``row_bytes``."""
    login, _ = rng.choice(people.PEOPLE)
    result, factor, reason = _verdict(rng)
    enrolling = rng.random() < 0.03
    row: Row = {
        "access_device": _access_device(rng),
        "alias": rng.choice(("", "unknown", "unknown", login.upper())),
        "application": {"key": people.key(rng, "DI"), "name": rng.choice(people.APPLICATIONS)},
        "auth_device": _auth_device(rng),
        "email": rng.choice((people.mail(login), people.mail(login), "", None)),
        "event_type": "enrollment" if enrolling else "authentication",
        "factor": None if enrolling else factor,
        "isotimestamp": "@@ISO@@",
        "ood_software": rng.choice((None, None, None, "chrome")),
        "reason": None if enrolling else reason,
        "result": result,
        "timestamp": "@@SECS@@",
        "trusted_endpoint_status": rng.choice(("trusted", "not trusted", "unknown", "unknown", None)),
        "txid": "@@ID@@",
        "user": {"groups": rng.sample(people.GROUPS, rng.randrange(4)), "key": people.key(rng, "DU"), "name": login},
    }
    _add_optional(rng, row)
    groups: list[str] = row["user"]["groups"]
    while (missing := row_bytes - len(msgspec.json.encode(row))) > 12:
        groups.append(f"{rng.choice(people.GROUPS)} {len(groups):02d}"[: max(8, missing)])
    return row


def _verdict(rng: random.Random) -> tuple[str, str | None, str | None]:
    roll = rng.random()
    if roll < 0.84:
        return ("success", *rng.choice(people.GRANTED))
    if roll < 0.97:
        return "denied", rng.choice(("duo_push", "phone_call", "not_available", None)), rng.choice(people.DENIED_REASONS)
    if roll < 0.99:
        return "fraud", "duo_push", "user_marked_fraud"
    return "success", "quantum_passkey", "approved_by_nearby_device"  # values that no list of today has


def _access_device(rng: random.Random) -> Row:
    system, version, browser, browser_version = rng.choice(people.SYSTEMS)
    tri_state = (True, False, "true", "unknown", "unknown", None)
    agents: Any = rng.choice(
        ("unknown", [], None, [{"security_agent": rng.choice(people.AGENTS), "version": f"4.18.{rng.randrange(9999)}.1"}])
    )
    return {
        "browser": browser,
        "browser_version": browser_version,
        "epkey": rng.choice((None, people.key(rng, "EP"))),
        "flash_version": "uninstalled",
        "hostname": rng.choice((None, None, f"LAPTOP-{rng.randrange(10_000):04d}.corp.example.com")),
        "ip": "0.0.0.0" if rng.random() < 0.05 else people.ip(rng),
        "is_encryption_enabled": rng.choice(tri_state),
        "is_firewall_enabled": rng.choice(tri_state),
        "is_password_set": rng.choice(tri_state),
        "java_version": "uninstalled",
        "location": people.location(rng),
        "os": system,
        "os_version": version,
        "security_agents": agents,
    }


def _auth_device(rng: random.Random) -> Row:
    if rng.random() < 0.1:
        return {"ip": None, "key": None, "location": {"city": None, "country": None, "state": None}, "name": None}
    return {"ip": people.ip(rng), "key": people.key(rng, "DP"), "location": people.location(rng), "name": people.phone(rng)}


def _add_optional(rng: random.Random, row: Row) -> None:
    if rng.random() < 0.3:
        row["adaptive_trust_assessments"] = {
            rng.choice(("more_secure_auth", "remember_me")): {
                "features_version": "3.0",
                "model_version": "2022.07.19.001",
                "policy_enabled": rng.random() < 0.5,
                "reason": "Normal level of trust; no detection of known attack pattern.",
                "trust_level": rng.choice(("NORMAL", "LOW")),
            }
        }
    if rng.random() < 0.1:
        row["passport_assessment"] = {"is_supported": False, "reason": "unsupported_os"}
    if rng.random() < 0.02:
        row["rbfs_triggered_attacks"] = [
            {"detector": "push_harassment", "detected_occurrences": 7, "threshold_occurrences": 5, "threshold_time_frame": 300}
            | {"shadow_mode": False, "suppressed": False}
        ]
    if rng.random() < 0.02:
        row["new_property_of_next_year"] = {"value": 1.5, "why": "Duo may add properties at any time"}


def activity(rng: random.Random, row_bytes: int) -> Row:
    """A row of ``/admin/v2/logs/activity``; the actor's groups are added to until it has about ``row_bytes``."""
    login, name = rng.choice(people.PEOPLE)
    action, target_type = rng.choice(people.ACTIONS)
    target_login, _ = rng.choice(people.PEOPLE)
    details: Row = {"created": "2024-02-29T08:00:00+00:00", "email": people.mail(login), "status": "active", "groups": []}
    system, version, browser, browser_version = rng.choice(people.SYSTEMS)
    target: Row = {"details": _json_text({"status": "Bypass"}), "key": people.key(rng, "DU"), "name": target_login}
    is_login = action == "admin_login"
    row: Row = {
        "access_device": None
        if rng.random() < 0.2
        else {
            "browser": browser,
            "browser_version": browser_version,
            "epkey": None,
            "ip": {"address": people.ip(rng)},
            "location": people.location(rng),
            "os": system,
            "os_version": version,
        },
        "action": action if rng.random() < 0.02 else {"details": None, "name": action},  # older rows: a plain string
        "activity_id": "@@ID@@",
        "actor": {"details": _json_text(details), "key": people.key(rng, "DE"), "name": name, "type": "admin"},
        "akey": "DA00000000000000EX00",
        "application": {"key": people.key(rng, "DI"), "name": "Admin API", "type": "adminapi"} if rng.random() < 0.2 else None,
        "old_target": target | {"type": target_type} if "update" in action else None,
        "outcome": {"result": rng.choice(("SUCCESS", "FAILURE"))} if is_login else None,
        "target": None if is_login else target | {"type": target_type},
        "ts": "@@ISO@@",
    }
    while row_bytes - len(msgspec.json.encode(row)) > 60:
        details["groups"].append({"key": people.key(rng, "DG"), "name": rng.choice(people.GROUPS)})
        row["actor"]["details"] = _json_text(details)
    return row


def _json_text(value: Row) -> str:
    return msgspec.json.encode(value).decode()


def telephony(rng: random.Random, row_bytes: int) -> Row:  # noqa: ARG001 - these rows have no part that could be longer
    """A row of ``/admin/v2/logs/telephony``; always about 220 bytes."""
    context = rng.choice(("authentication", "authentication", "enrollment", "administrator login", "verify"))
    return {
        "context": context if rng.random() > 0.02 else "passwordless recovery",
        "credits": rng.choice((0, 1, 1, 2, 20)),
        "phone": people.phone(rng),
        "telephony_id": "@@ID@@",
        "ts": "@@ISO@@",
        "txid": "@@TXID@@" if context == "authentication" else None,
        "type": rng.choice(("sms", "phone")),
    }


def trustmonitor(rng: random.Random, row_bytes: int) -> Row:
    """A row of ``/admin/v1/trust_monitor/events``."""
    login, name = rng.choice(people.PEOPLE)
    row: Row = {
        "priority_event": rng.random() < 0.2,
        "priority_reasons": [],
        "sekey": "@@ID@@",
        "state": rng.choice(("new", "new", "processed")),
        "state_updated_timestamp": None,
        "surfaced_timestamp": "@@MS@@",
        "triage_event_uri": "https://admin-example.duosecurity.com/trust-monitor?sekey=SE0000000000000000EX",
        "triaged_as_interesting": False,
    }
    if rng.random() < 0.7:
        surfaced = auth(rng, row_bytes // 2)
        surfaced.update(txid="@@TXID@@", event_type=None)
        row |= {
            "explanations": [{"summary": f"{login} has not signed in from this country before.", "type": "NEW_COUNTRY_CODE"}],
            "from_common_netblock": False,
            "from_new_user": False,
            "low_risk_ip": False,
            "surfaced_auth": surfaced,
            "type": "auth",
        }
    else:
        row |= {
            "bypass_status_enabled": "@@MS@@",
            "enabled_by": {"key": people.key(rng, "DE"), "name": name},
            "enabled_for": {"key": people.key(rng, "DU"), "name": login},
            "type": "bypass_status",
        }
    return row


def admin(rng: random.Random, row_bytes: int) -> Row:  # noqa: ARG001 - these rows are short
    """A row of ``/admin/v1/logs/administrator``: no id, whole seconds; the description is JSON in a text, words or nothing."""
    login, name = rng.choice(people.PEOPLE)
    action = rng.choice(people.OLD_ACTIONS)
    details: Row = {"email": people.mail(login), "ip_address": people.ip(rng)}
    if action.endswith("_error"):
        details |= {"error": "The passcode is = wrong | expired", "factor": "sms"}
    row: Row = {
        "action": action,
        "description": rng.choice((_json_text(details), _json_text(details), "Changed by hand", None)),
        "isotimestamp": "@@ISOSECS@@",
        "object": "@@NAME@@",
        "timestamp": "@@SECS@@",
        "username": rng.choice((name, name, "API", "System", "AD Sync: corp.example.com")),
    }
    if rng.random() < 0.2:
        del row["isotimestamp"]
    return row


def offline_enrollment(rng: random.Random, row_bytes: int) -> Row:  # noqa: ARG001 - these rows are short
    """A row of ``/admin/v1/logs/offline_enrollment``: no id, whole seconds."""
    details = {
        "factor": rng.choice(("duo_otp", "security_key")),
        "hostname": f"LAPTOP-{rng.randrange(10_000):04d}",
        "user_agent": "DuoCredProv/4.0.6.413 (Windows NT 6.3.9600; x64; Server)",
    }
    return {
        "action": rng.choice(("o2fa_user_provisioned", "o2fa_user_deprovisioned", "o2fa_user_reenrolled")),
        "description": _json_text(details),
        "object": rng.choice(people.APPLICATIONS),
        "timestamp": "@@SECS@@",
        "username": "@@NAME@@",
    }


INVENTORS: dict[str, Callable[[random.Random, int], Row]] = {
    "auth": auth,
    "activity": activity,
    "telephony": telephony,
    "trustmonitor": trustmonitor,
    "admin": admin,
    "offline_enrollment": offline_enrollment,
}
