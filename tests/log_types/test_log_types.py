"""What each log type says of its rows: identity, time, severity, and facts in neutral words."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

import pytest

from tests.formats import golden
from transforms.coders import DuoEvent, EventFacts, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.duo.log_types.base import RowKey
from transforms.facts import NO_PARTY, Party, Passport, Place


def _facts(log_type: str, row: dict[str, Any], **stream: Any) -> EventFacts:
    return LOG_TYPES[log_type].facts(DuoEvent(Stream("acme", log_type, **stream), json.dumps(row).encode()))


def _key(log_type: str, row: dict[str, Any]) -> RowKey:
    return LOG_TYPES[log_type].row_key(json.dumps(row).encode())


def _golden(log_type: str, name: str) -> EventFacts:
    event = golden.event(golden.FOLDER / log_type / f"{name}.json")
    return LOG_TYPES[log_type].facts(event)


def test_each_log_is_asked_for_as_duo_documents_it() -> None:
    asked = {
        t.name: (t.path, t.rows_key, t.page_limit, t.cursor_param, t.sort, t.ascending, t.ends_on) for t in LOG_TYPES.values()
    }
    documented = {
        "auth": ("/admin/v2/logs/authentication", "authlogs", 1000, "next_offset", "ts:asc", True, None),
        "activity": ("/admin/v2/logs/activity", "items", 1000, "next_offset", "ts:asc", True, None),
        "telephony": ("/admin/v2/logs/telephony", "items", 1000, "next_offset", "ts:asc", True, None),
        "trustmonitor": ("/admin/v1/trust_monitor/events", "events", 200, "offset", None, False, dt.date(2027, 1, 31)),
    }
    assert {name: asked[name] for name in documented} == documented
    assert all(name == log_type.name for name, log_type in LOG_TYPES.items())


def test_the_old_logs_are_read_by_time_only_where_somebody_asks_for_them_and_repeat_the_activity_log() -> None:
    for name, path in (("admin", "administrator"), ("offline_enrollment", "offline_enrollment")):
        old = LOG_TYPES[name]
        assert (old.path, old.rows_key, old.page_limit, old.ascending) == (f"/admin/v1/logs/{path}", "", 1000, True)
        assert (old.pages_by_time, old.opt_in, old.also_in, old.ends_on) == (True, True, "activity", dt.date(2026, 9, 30))


@pytest.mark.parametrize(
    ("log_type", "row", "key"),
    [
        ("auth", {"txid": "t", "isotimestamp": "2023-11-14T22:13:20.123456+00:00", "timestamp": 1}, (1_700_000_000_123, "t")),
        ("auth", {"txid": "t", "timestamp": 1_700_000_000}, (1_700_000_000_000, "t")),
        ("auth", {"txid": "", "isotimestamp": "soon", "timestamp": 1_700_000_000.7}, (1_700_000_000_000, None)),
        ("auth", {"timestamp": 10**300}, (None, None)),
        ("activity", {"activity_id": "a", "ts": "2023-11-14T22:13:20Z"}, (1_700_000_000_000, "a")),
        ("telephony", {"telephony_id": "p", "txid": "t", "ts": "2023-11-14T22:13:20Z"}, (1_700_000_000_000, "p:t")),
        ("telephony", {"telephony_id": "p", "txid": None}, (None, "p:")),
        ("telephony", {"txid": "t"}, (None, None)),
        ("trustmonitor", {"sekey": "S", "state": "new", "surfaced_timestamp": 5}, (5, "S:new:")),
        (
            "trustmonitor",
            {"sekey": "S", "state": "processed", "state_updated_timestamp": 9, "surfaced": 5},
            (5, "S:processed:9"),
        ),
        ("trustmonitor", {"state": "new"}, (None, None)),
        ("admin", {"timestamp": 1_700_000_000, "isotimestamp": "2023-11-14T22:13:25+00:00"}, (1_700_000_000_000, None)),
        ("admin", {"timestamp": None, "isotimestamp": "2023-11-14T22:13:20+00:00"}, (1_700_000_000_000, None)),
        ("offline_enrollment", {"timestamp": "1700000000"}, (1_700_000_000_000, None)),
        ("offline_enrollment", {"timestamp": 10**300}, (None, None)),
    ],
)
def test_a_row_is_known_by_its_time_and_id(log_type: str, row: dict[str, Any], key: tuple[int | None, str | None]) -> None:
    assert _key(log_type, row) == RowKey(*key)


def test_a_trust_monitor_row_that_changed_has_another_key_and_the_same_event_id() -> None:
    new = {"sekey": "S", "state": "new", "surfaced_timestamp": 5}
    done = {**new, "state": "processed", "state_updated_timestamp": 9}
    assert _key("trustmonitor", new) != _key("trustmonitor", done)
    assert _facts("trustmonitor", new).event_id == _facts("trustmonitor", done).event_id == "S"


@pytest.mark.parametrize(
    ("row", "severity", "outcome"),
    [
        ({"result": "success", "reason": "user_approved"}, 3, "success"),
        ({"result": "SUCCESS"}, 3, "success"),
        ({"result": "success", "reason": "bypass_user"}, 5, "success"),
        ({"result": "success", "factor": "bypass_code"}, 5, "success"),
        ({"result": "success", "reason": "allow_unenrolled_user"}, 5, "success"),
        ({"result": "denied", "reason": "no_response"}, 5, "failure"),
        ({"result": "denied", "reason": "anomalous_push"}, 6, "failure"),
        ({"result": "denied", "reason": "user_marked_fraud"}, 9, "failure"),
        ({"result": "fraud"}, 9, "failure"),
        ({"result": "something new"}, 5, "failure"),
        ({}, 3, None),
    ],
)
def test_the_severity_of_a_log_in_follows_its_result_and_reason(
    row: dict[str, Any], severity: int, outcome: str | None
) -> None:
    facts = _facts("auth", row)
    assert (facts.severity, facts.outcome) == (severity, outcome)


@pytest.mark.parametrize(
    ("action", "result", "severity"),
    [
        ("user_update", None, 3),
        ("phone_update", "SUCCESS", 3),
        ("policy_create", None, 6),
        ("admin_delete", "SUCCESS", 7),
        ("integration_skey_view", None, 7),
        ("bypass_view", None, 7),
        ("log_export_start", None, 6),
        ("admin_login", "SUCCESS", 3),
        ("admin_login", "FAILURE", 6),
        ("user_import", "FAILURE", 5),
    ],
)
def test_the_severity_of_an_activity_follows_its_action(action: str, result: str | None, severity: int) -> None:
    assert _facts("activity", {"action": {"name": action}, "outcome": {"result": result}}).severity == severity


def test_a_log_in_tells_who_from_where_to_what_and_how() -> None:
    facts = _golden("auth", "fraud")
    assert facts.actor == facts.target_user == Party("DU0000000000000000EX", "jdoe", groups=["VPN Users", "Staff"])
    assert (facts.application.name, facts.application.key) == ("Acme | CN=VPN \\ prod", "DI0000000000000000EX")
    assert (facts.src_ip, facts.src_place) == ("203.0.113.9", Place("Ann Arbor", "Michigan", "United States"))
    device = facts.device
    assert (device.hostname, device.os, device.os_version) == ("WKS-1", "Windows", "10.0.19045")
    assert (device.browser, device.browser_version, device.is_encryption_enabled) == ("Chrome", "119.0", True)
    assert (facts.auth_ip, facts.auth_place) == ("198.51.100.7", Place(country="United States"))
    assert (facts.auth_device.key, facts.auth_device.name) == ("DP0000000000000000EX", "+1 555 0100")
    log_in = facts.log_in
    assert (log_in.factor, log_in.result, log_in.email) == ("duo_push", "fraud", "jdoe@example.com")


def test_a_log_in_tells_what_duos_risk_engine_thinks_of_it() -> None:
    log_in = _golden("auth", "risk_assessed").log_in
    assert log_in.adaptive_trust_assessments is not None
    assert log_in.adaptive_trust_assessments["more_secure_auth"].trust_level == "LOW"
    assert log_in.adaptive_trust_assessments["remember_me"].reason == "Known device, new network"
    assert log_in.passport_assessment == Passport(is_supported=False, reason="UNMANAGED_ENDPOINT")
    assert [attack.detector for attack in log_in.rbfs_triggered_attacks or ()] == ["PUSH_HARASSMENT", "COUNTRY_CODE_MISMATCH"]


def test_only_people_are_targets_and_things_are_texts() -> None:
    person, thing = _golden("activity", "user_update"), _golden("activity", "policy_delete")
    assert (person.target_user.name, person.target_thing) == ("jdoe", NO_PARTY)
    assert (thing.target_user, thing.target_thing.name) == (NO_PARTY, "Global | Policy")
    assert (person.target, thing.target) == (person.target_user, thing.target_thing)


def test_a_change_tells_what_was_before_and_what_is_now() -> None:
    facts = _golden("activity", "policy_update")
    assert facts.target.details == '{"authentication_status":"Allow access without 2FA"}'
    assert (facts.old_target.name, facts.old_target.details) == ("Global = Policy", '{"authentication_status":"Enforce 2FA"}')
    assert json.loads(facts.actor.details or "")["email"] == "jane@example.com"


def test_the_account_is_the_childs_id_or_else_duos_key_in_the_row() -> None:
    row = {"akey": "DA_ROW"}
    assert _facts("activity", row, account_id="DA_CHILD").tenant == "DA_CHILD"
    assert _facts("activity", row).tenant == "DA_ROW"
    assert _facts("auth", row).tenant is None


def test_trust_monitor_takes_user_and_device_from_the_log_in_that_it_is_about() -> None:
    facts = _golden("trustmonitor", "priority_auth")
    assert (facts.severity, facts.actor.name, facts.src_ip, facts.device.hostname) == (8, "jdoe", "203.0.113.9", "WKS-1")
    assert (facts.log_in.result, facts.log_in.reason, facts.log_in.factor) == ("success", "user_approved", "duo_push")
    assert (facts.finding.log_in_id, facts.finding.log_in_ms) == ("4b1c2d3e-1111-4222-8333-444455556666", 1_772_438_900_000)
    assert [e.type for e in facts.finding.explanations or ()] == ["NEW_COUNTRY_CODE", "NEW_DEVICE"]
    assert facts.finding.state_updated_ms == 1_772_439_950_556
    assert (facts.outcome, facts.reason) == (None, None)  # of the finding, not of the log-in


def test_a_bypass_tells_who_enabled_it_for_whom() -> None:
    facts = _golden("trustmonitor", "bypass_status")
    assert (facts.actor.name, facts.target_user.name, facts.severity) == ("Jane Admin", "jdoe", 5)


@pytest.mark.parametrize(
    ("action", "name"),
    [("bypass_create", "bypass_create"), ({"name": "bypass_create"}, "bypass_create"), (None, None), ([], "[]")],
)
def test_an_action_may_be_a_text_or_an_object(action: Any, name: str | None) -> None:
    assert (_facts("activity", {"action": action}).action or None) == (name if name != "[]" else None)


def test_an_address_may_be_a_text_or_an_object_in_either_log() -> None:
    for log_type in ("auth", "activity"):
        for ip in ("203.0.113.9:7", {"address": "203.0.113.9"}):
            assert _facts(log_type, {"access_device": {"ip": ip}}).src_ip == "203.0.113.9"


@pytest.mark.parametrize("log_type", ["admin", "offline_enrollment"])
def test_a_row_without_an_id_is_known_by_its_bytes(log_type: str) -> None:
    row = {"timestamp": 1_700_000_000, "username": "jdoe", "action": "x", "object": None, "description": None}
    event_id = _facts(log_type, row).event_id
    assert event_id == hashlib.sha256(json.dumps(row).encode()).hexdigest()[:40]
    assert _facts(log_type, row).event_id == event_id
    assert _facts(log_type, {**row, "new": 1}).event_id != event_id


@pytest.mark.parametrize(
    ("action", "severity", "outcome"),
    [
        ("user_update", 3, "success"),
        ("admin_create", 7, "success"),
        ("integration_delete", 7, "success"),
        ("bypass_create", 7, "success"),
        ("admin_login_error", 6, "failure"),
        ("admin_2fa_error", 6, "failure"),
        ("ad_sync_failed", 5, "failure"),
        ("azure_sync_fail", 5, "failure"),
        ("openldap_sync_failed", 5, "failure"),
        (None, 3, None),
    ],
)
def test_the_name_of_an_administrators_action_says_its_outcome_and_severity(
    action: str | None, severity: int, outcome: str | None
) -> None:
    facts = _facts("admin", {"action": action})
    assert (facts.severity, facts.outcome) == (severity, outcome)


def test_an_administrators_action_has_a_person_or_a_thing_as_its_object() -> None:
    person, thing = _golden("admin", "user_update"), _golden("admin", "integration_delete_in_words")
    assert (person.actor.name, person.target_user.name, person.target_thing.name) == ("Jane Admin", "jdoe", None)
    assert (thing.actor.name, thing.target_user.name, thing.target_thing.name) == ("API", None, "Acme | RDP")


def test_a_description_is_words_or_json_from_which_address_and_reason_are_taken() -> None:
    words, details = _golden("admin", "integration_delete_in_words"), _golden("admin", "login_error")
    assert (words.message, words.target.details) == ("Removed by hand: type=rdp | old\nsecond line", None)
    assert (details.message, details.src_ip, details.reason) == (None, "203.0.113.9", "SAML login is disabled")
    assert json.loads(details.target.details or "")["factor"] == "duo_push"


def test_an_offline_enrollment_tells_who_on_which_machine_with_what() -> None:
    facts = _golden("offline_enrollment", "provisioned")
    assert (facts.event_class, facts.actor.name, facts.device.hostname) == ("offline.o2fa_user_provisioned", "jdoe", "WKS-1")
    assert (facts.log_in.factor, facts.application.name) == ("duo_otp", "RDP")
    assert _golden("offline_enrollment", "new_action_in_words").message == "by an administrator"
