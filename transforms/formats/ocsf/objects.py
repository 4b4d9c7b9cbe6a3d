"""Objects of OCSF that are made of several facts: users, entities, factors, findings' evidence, observables.

Place in the flow: called by ``ocsf`` for an event whose single facts ``tables`` have placed.

Contract: each function adds to the event what it is about. What does not make a whole object of OCSF's goes to ``unmapped``.
"""

from __future__ import annotations

from typing import Any

from transforms.facts import EventFacts, Party
from transforms.formats.tree import parsed

Event = dict[str, Any]

ADMIN_PANEL = "Duo Admin Panel"

_USER_TYPES = {
    "user": 1,
    "admin": 2,
    "system": 3,
    "admin_sync": 3,
    "azure_sync": 3,
    "ldapsync": 3,
    "adminapi": 4,
    "deviceapi": 4,
}
_USER_TYPE_NAMES = {1: "User", 2: "Admin", 3: "System", 4: "Service"}
_ENTITY_TYPES = {"user": 2, "admin": 2, "group": 3, "policy": 5}
_ENTITY_TYPE_NAMES = {2: "User", 3: "Group", 5: "Policy"}
_ORGANIZATION = 4
_OTHER = 99

_NO_FACTORS = {
    "bypass_code",
    "remembered_device",
    "trusted_network",
    "trusted_mobile_authenticator",
    "not_available",
    "unknown",
}
_FACTORS = {
    "sms_passcode": 1,
    "sms_refresh": 1,
    "phone_call": 3,
    "WebAuthn Chrome Touch ID": 4,
    "duo_push": 5,
    "verified_duo_push": 5,
    "hardware_token": 6,
    "yubikey_code": 6,
    "yubikey_passcode": 6,
    "digipass_go_7_token": 6,
    "passcode": 7,
    "duo_mobile_passcode": 7,
    "duo_mobile_passcode_hotp": 7,
    "duo_mobile_passcode_totp": 7,
    "u2f_token": 9,
    "WebAuthn Credential": 10,
    "WebAuthn Security Key": 10,
}
_FACTOR_NAMES = {
    1: "SMS", 3: "Phone Call", 4: "Biometric", 5: "Push Notification", 6: "Hardware Token", 7: "OTP", 9: "U2F", 10: "WebAuthn",
}  # fmt: skip

_STATUSES = {"success": (1, "Success"), "failure": (2, "Failure")}
_STATES = {"new": (1, "New"), "processed": (4, "Resolved")}

# What an endpoint, a device, a place, an operating system and a user must have one of, to be one.
_AN_ENDPOINT = {"ip", "hostname", "uid", "name"}
_A_PLACE = {"city", "region", "country"}
_A_USER = {"name", "uid"}


def _unmapped(event: Event, name: str) -> dict[str, Any]:
    inner: dict[str, Any] = event.setdefault("unmapped", {}).setdefault(name, {})
    return inner


def merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    """Puts an object into another one; objects that both have are put together."""
    for name, value in other.items():
        known = into.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            merge(known, value)
        else:
            into[name] = value


def add_status(event: Event, word: str | None, *, of_finding: bool = False) -> None:
    """Whether it succeeded; of a finding what state it is in."""
    known = (_STATES if of_finding else _STATUSES).get(word or "")
    event["status_id"], event["status"] = known or ((_OTHER, word) if word else (0, "Unknown"))


def add_actor(event: Event, actor: Party) -> None:
    """Who did it."""
    user = _user(actor)
    if user is not None:
        event["actor"] = {"user": user}


def add_person(event: Event, facts: EventFacts) -> None:
    """The user or administrator that it was done to, as it was and as it is."""
    _add_before_and_after(event, "user", _user(facts.old_target), _user(facts.target_user))
    _add_details(event, "target", facts.target_user)
    _add_details(event, "old_target", facts.old_target)


def add_target_unmapped(event: Event, facts: EventFacts) -> None:
    """What is named as the target of something that was not done to anybody, such as the description of a log-in."""
    target = facts.target
    if named := {name: text for name, text in (("name", target.name), ("key", target.key)) if text}:
        merge(_unmapped(event, "target"), named)
    _add_details(event, "target", target)


def add_entity(event: Event, facts: EventFacts, api_host: str) -> None:
    """The thing that it was done to, as it was and as it is; without one the account itself, which its host is known by."""
    now = _entity(facts.target_thing)
    if now is None and (facts.tenant or api_host):
        account = {"uid": facts.tenant} if facts.tenant else {"name": api_host}
        now = {**account, "type": "Organization", "type_id": _ORGANIZATION}
    _add_before_and_after(event, "entity", _entity(facts.old_target), now)


def _add_before_and_after(event: Event, name: str, before: Event | None, after: Event | None) -> None:
    if before is not None and after is not None:
        event[name], event[f"{name}_result"] = before, after
    elif before is not None or after is not None:
        event[name] = before or after


def _add_details(event: Event, name: str, party: Party) -> None:
    if party.details and (details := parsed(party.details)):
        _unmapped(event, name)["details"] = details


def _user(party: Party) -> Event | None:
    if not (party.name or party.key):
        return None
    user: Event = {name: text for name, text in (("name", party.name), ("uid", party.key)) if text}
    if party.type:
        kind = _USER_TYPES.get(party.type, _OTHER)
        user |= {"type_id": kind, "type": _USER_TYPE_NAMES.get(kind, party.type)}
    return user


def _entity(party: Party) -> Event | None:
    # Settings have neither key nor name; what they are is all that they are called.
    name = party.name or (None if party.key else party.type)
    if not (name or party.key):
        return None
    entity: Event = {key: text for key, text in (("name", name), ("uid", party.key)) if text}
    if party.type:
        kind = _ENTITY_TYPES.get(party.type, _OTHER)
        entity |= {"type_id": kind, "type": _ENTITY_TYPE_NAMES.get(kind, party.type)}
    if party.details and (details := parsed(party.details)):
        entity["data"] = details
    return entity


def add_log_in_of_administrator(event: Event, facts: EventFacts) -> None:
    """Who logged in, and to what."""
    user = _user(facts.actor)
    if user is not None:
        event["user"] = user
    add_target_unmapped(event, facts)
    application = facts.application
    event["service"] = {"name": application.name or ADMIN_PANEL, **({"uid": application.key} if application.key else {})}


def add_factor(event: Event, facts: EventFacts) -> None:
    """How the user proved to be it, and by what device; whether that was a second factor at all."""
    device = event.pop("auth_device", None)
    factor = facts.log_in.factor
    is_factor = bool(factor) and factor not in _NO_FACTORS
    if device is not None:
        _settle(event, device, "location", _A_PLACE, "auth_device")
    if factor and is_factor:
        kind = _FACTORS.get(factor, _OTHER)
        told: Event = {"factor_type_id": kind, "factor_type": _FACTOR_NAMES.get(kind, factor)}
        if device and device.keys() & _AN_ENDPOINT:
            told["device"] = {"type_id": 0, **device}
            device = None
        event["auth_factors"] = [told]
    if device:
        merge(_unmapped(event, "auth_device"), device)
    if factor and facts.action != "enrollment":
        event["is_mfa"] = is_factor


def add_evidence(event: Event, facts: EventFacts) -> None:
    """Who did what Trust Monitor found suspicious, to whom, and from where."""
    settle(event)
    evidence: Event = {name: event.pop(name) for name in ("src_endpoint", "user") if name in event}
    if device := event.pop("auth_device", None):
        merge(_unmapped(event, "auth_device"), device)
    if facts.actor is not facts.target_user and (actor := _user(facts.actor)) is not None:
        evidence["actor"] = {"user": actor}
    if evidence:
        event["evidences"] = [evidence]
    kinds = [facts.action, *(why.type for why in facts.finding.explanations or ())]
    if types := list(dict.fromkeys(kind for kind in kinds if kind)):
        event.setdefault("finding_info", {})["types"] = types


def settle(event: Event) -> None:
    """Takes out the objects that lack what OCSF wants of them; what they hold stays, unmapped."""
    endpoint = event.get("src_endpoint")
    if endpoint is not None:
        _settle(event, endpoint, "location", _A_PLACE, "access_device")
        _settle(event, endpoint, "os", {"name"}, "access_device")
        _settle(event, event, "src_endpoint", _AN_ENDPOINT, "access_device")
    _settle(event, event, "user", _A_USER, "user")


def _settle(event: Event, outer: Event, name: str, needed: set[str], unmapped_as: str) -> None:
    inner = outer.get(name)
    if inner is not None and not inner.keys() & needed:
        del outer[name]
        merge(_unmapped(event, unmapped_as), inner if outer is event else {name: inner})


def observables(event: Event) -> list[Event]:
    """The addresses, hosts and people of an event, for whoever looks for one of them in any class."""
    evidence = event.get("evidences")
    inside, at = (evidence[0], "evidences[].") if evidence else (event, "")
    found = []
    for place, kind, kind_name in _OBSERVED:
        value = inside
        for name in place:
            value = value.get(name)
            if value is None:
                break
        else:
            found.append({"name": at + ".".join(place), "type_id": kind, "type": kind_name, "value": value})
    return found


_OBSERVED = (
    (("src_endpoint", "ip"), 2, "IP Address"),
    (("src_endpoint", "hostname"), 1, "Hostname"),
    (("user", "name"), 4, "User Name"),
    (("user", "email_addr"), 5, "Email Address"),
    (("actor", "user", "name"), 4, "User Name"),
)
