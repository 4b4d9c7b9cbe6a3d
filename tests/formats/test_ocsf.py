"""Every OCSF message is valid by OCSF's own schema of its class, and says all that the row says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import golden, ocsf_schema, strategies
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import make_formatter, syslog_header
from transforms.formats.ocsf import SCHEMA_VERSION, OcsfOptions
from transforms.formats.ocsf.classes import BASE_EVENT, CLASSES
from transforms.settings import Format

FORMATTER = make_formatter(Format(OcsfOptions()))

_events = st.sampled_from(sorted(LOG_TYPES)).flatmap(
    lambda log_type: strategies.rows(log_type).map(lambda raw: DuoEvent(Stream("acme", log_type, "api-x.example.com"), raw))
)
_USER = {"key": "DU1", "name": "jdoe"}
_LYON = {"city": "Lyon", "country": "FR"}
_TARGET = {**_USER, "type": "user"}
_VPN = {"key": "DI1", "name": "Corp VPN"}


def _write(log_type: str, host: str = "api-x.example.com", **row: object) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(FORMATTER.format(DuoEvent(Stream("acme", log_type, host), json.dumps(row).encode())))
    assert ocsf_schema.problems(event) == []
    return event


def _log_in(**row: object) -> dict[str, Any]:
    return _write("auth", **{"event_type": "authentication", "result": "success", "user": _USER, "application": _VPN, **row})


@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_a_golden_message_is_valid_by_the_schema_of_its_class(row: Path) -> None:
    assert ocsf_schema.problems(json.loads(row.with_suffix(".bare.ocsf").read_bytes())) == []


@settings(max_examples=100, deadline=None)
@given(_events)
def test_whatever_a_row_holds_its_message_is_valid_by_the_schema_of_its_class(event: DuoEvent) -> None:
    assert ocsf_schema.problems(json.loads(FORMATTER.format(event))) == []


def test_classes_and_activities_are_called_what_the_schema_calls_them() -> None:
    assert SCHEMA_VERSION == ocsf_schema.VERSION
    for uid, of in CLASSES.items():
        for activity, name in of.activities.items():
            assert ocsf_schema.caption(uid, "activity_id", activity) == name, of.name
        assert ocsf_schema.caption(uid, "category_uid", of.category_uid) == of.category_name
        assert ocsf_schema.caption(uid, "class_uid", uid) == of.name


@pytest.mark.parametrize(
    ("log_type", "row", "type_name"),
    [
        ("auth", {"event_type": "authentication", "user": _USER, "application": _VPN}, "Authentication: Logon"),
        ("auth", {"event_type": "enrollment", "user": _USER}, "Account Change: MFA Factor Enable"),
        ("activity", {"action": {"name": "admin_login"}, "actor": _USER}, "Authentication: Logon"),
        ("admin", {"action": "admin_2fa_error", "username": "Jane Admin"}, "Authentication: Logon"),
        ("activity", {"action": {"name": "user_create"}, "target": _TARGET}, "Account Change: Create"),
        (
            "activity",
            {"action": {"name": "user_adminapi_lockout"}, "target": _TARGET},
            "Account Change: Lock",
        ),
        (
            "activity",
            {"action": {"name": "user_lockout_cleared"}, "target": _TARGET},
            "Account Change: Unlock",
        ),
        ("activity", {"action": {"name": "user_update"}, "target": _TARGET}, "Account Change: Other"),
        ("admin", {"action": "admin_reset_password", "object": "Jane"}, "Account Change: Password Reset"),
        ("offline_enrollment", {"action": "o2fa_user_provisioned", "username": "jdoe"}, "Account Change: MFA Factor Enable"),
        ("offline_enrollment", {"action": "o2fa_user_deprovisioned", "username": "j"}, "Account Change: MFA Factor Disable"),
        (
            "activity",
            {"action": {"name": "policy_update"}, "target": {"name": "P", "type": "policy"}},
            "Entity Management: Update",
        ),
        (
            "activity",
            {"action": {"name": "bypass_view"}, "target": {"key": "B", "type": "user_bypass"}},
            "Entity Management: Read",
        ),
        ("activity", {"action": {"name": "deregister_devices"}}, "Entity Management: Unenroll"),
        ("activity", {"action": {"name": "log_export_start"}}, "Entity Management: Read"),
        ("admin", {"action": "ad_sync_begin"}, "Entity Management: Other"),
        ("trustmonitor", {"sekey": "SE1", "state": "new"}, "Detection Finding: Create"),
        ("trustmonitor", {"sekey": "SE1", "state": "new", "state_updated_timestamp": 5}, "Detection Finding: Update"),
        ("trustmonitor", {"sekey": "SE1", "state": "processed", "state_updated_timestamp": 5}, "Detection Finding: Close"),
        ("telephony", {"type": "sms"}, "Base Event: Other"),
    ],
)
def test_what_was_done_decides_about_class_and_activity(log_type: str, row: dict[str, object], type_name: str) -> None:
    assert _write(log_type, **row)["type_name"] == type_name


@pytest.mark.parametrize(
    ("log_type", "row"),
    [
        ("auth", {"event_type": "authentication", "application": _VPN, "factor": "duo_push"}),
        ("auth", {"event_type": "authentication", "user": _USER, "auth_device": {"name": "phone"}, "factor": "duo_push"}),
        ("auth", {"event_type": "enrollment"}),
        ("trustmonitor", {"type": "auth", "surfaced_auth": {"user": _USER}}),
    ],
)
def test_what_lacks_something_that_its_class_requires_is_a_base_event_that_says_as_much(
    log_type: str, row: dict[str, object]
) -> None:
    event = _write(log_type, **row)
    assert event["class_uid"] == BASE_EVENT.uid
    for text in ("Corp VPN", "jdoe", "phone", "duo_push"):
        assert (text in json.dumps(row)) == (text in json.dumps(event))


def test_a_log_in_says_who_to_what_from_where_by_what_factor_and_how_it_ended() -> None:
    event = _log_in(
        result="denied",
        reason="no_response",
        factor="duo_push",
        email="jdoe@example.com",
        user={**_USER, "groups": ["Staff"]},
        access_device={
            "ip": "203.0.113.9:443",
            "hostname": "WKS-1",
            "os": "Windows",
            "location": _LYON,
        },
        auth_device={"name": "+1 555 0100", "ip": "198.51.100.7", "location": {"country": "France"}},
    )
    assert event["user"] == {"name": "jdoe", "uid": "DU1", "email_addr": "jdoe@example.com", "groups": [{"name": "Staff"}]}
    assert event["service"] == {"uid": "DI1", "name": "Corp VPN"}
    assert event["src_endpoint"] == {
        "ip": "203.0.113.9",
        "port": 443,
        "hostname": "WKS-1",
        "os": {"name": "Windows", "type_id": 100},
        "location": _LYON,
    }
    device = {"type_id": 0, "name": "+1 555 0100", "ip": "198.51.100.7"}
    assert event["auth_factors"] == [{"factor_type_id": 5, "factor_type": "Push Notification", "device": device}]
    assert event["unmapped"]["auth_device"] == {"location": {"country": "France"}}
    assert [event[name] for name in ("is_mfa", "status", "status_code", "status_detail")] == [
        True, "Failure", "denied", "no_response",
    ]  # fmt: skip
    assert {"name": "src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": "203.0.113.9"} in event["observables"]


@pytest.mark.parametrize("factor", ["bypass_code", "remembered_device", "trusted_network", "not_available"])
def test_what_is_no_factor_is_no_second_factor(factor: str) -> None:
    event = _log_in(factor=factor, auth_device={"name": "phone"})
    assert event["is_mfa"] is False
    assert "auth_factors" not in event
    assert event["unmapped"]["auth_device"] == {"name": "phone"}


def test_a_change_has_what_was_before_it_and_what_is_now() -> None:
    old, new = ({"key": "PO1", "name": "P", "type": "policy", "details": json.dumps({"auth": word})} for word in ("on", "off"))
    event = _write(
        "activity", action={"name": "policy_update"}, target=new, old_target=old, actor={"name": "J", "type": "admin"}
    )
    told = {"uid": "PO1", "name": "P", "type_id": 5, "type": "Policy"}
    assert event["entity"] == {**told, "data": {"auth": "on"}}
    assert event["entity_result"] == {**told, "data": {"auth": "off"}}
    assert event["actor"] == {"user": {"name": "J", "type_id": 2, "type": "Admin"}}


def test_without_a_target_the_account_was_changed() -> None:
    account = {"type": "Organization", "type_id": 4}
    assert _write("activity", action="log_export_start", akey="DA1")["entity"] == {"uid": "DA1", **account}
    assert _write("admin", action="ad_sync_begin")["entity"] == {"name": "api-x.example.com", **account}
    assert _write("admin", host="", action="ad_sync_begin")["class_uid"] == BASE_EVENT.uid


def test_a_finding_has_the_log_in_that_was_surfaced_as_its_evidence() -> None:
    event = _write(
        "trustmonitor",
        sekey="SE1",
        type="auth",
        state="new",
        explanations=[{"type": "NEW_IP", "summary": "A new address."}],
        surfaced_auth={"txid": "t1", "user": _USER, "access_device": {"ip": "203.0.113.9"}},
    )
    assert event["evidences"] == [{"src_endpoint": {"ip": "203.0.113.9"}, "user": {"name": "jdoe", "uid": "DU1"}}]
    assert event["finding_info"] == {
        "uid": "SE1",
        "title": "Duo Trust Monitor suspicious authentication",
        "desc": "A new address.",
        "types": ["auth", "NEW_IP"],
    }
    assert event["metadata"]["correlation_uid"] == "t1"


def test_a_row_without_a_time_has_the_time_at_which_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_header.time, "time_ns", lambda: 1_800_000_000_123_000_000)
    assert _log_in()["time"] == 1_800_000_000_123


def test_the_row_is_beside_it_where_that_was_chosen() -> None:
    raw = b'{"txid":"t1","odd":"\\ud800\xff"}'
    message = make_formatter(Format(OcsfOptions(original=True))).format(DuoEvent(Stream("acme", "auth"), raw))
    assert json.loads(message)["raw_data"] == '{"txid":"t1","odd":"\\ud800\ufffd"}'
