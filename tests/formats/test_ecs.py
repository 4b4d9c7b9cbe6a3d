"""ECS is what Elastic's package cisco_duo makes of the same rows, and more where that leaves a field empty.

Each expectation of this file is a fact about the package's ingest pipelines (see the elastic/integrations repository,
packages/cisco_duo), said in rows of our own; ``ecs_fields.yaml`` has the fields and types that it declares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.formats import ecs_schema, golden, strategies
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import make_formatter, syslog_header
from transforms.formats.ecs import ECS_VERSION, EcsOptions
from transforms.formats.ecs.kinds import kind_of_action
from transforms.settings import Format

FORMATTER = make_formatter(Format(EcsOptions()))

_events = st.sampled_from(sorted(LOG_TYPES)).flatmap(
    lambda log_type: strategies.rows(log_type).map(lambda raw: DuoEvent(Stream("acme", log_type, "api-x.example.com"), raw))
)


def _write(log_type: str, **row: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(FORMATTER.format(DuoEvent(Stream("acme", log_type), json.dumps(row).encode())))
    assert ecs_schema.problems(document) == []
    return document


@pytest.mark.parametrize("row", golden.rows(), ids=lambda row: f"{row.parent.name}-{row.stem}")
def test_a_golden_message_has_declared_fields_only_with_values_of_their_types(row: Path) -> None:
    assert ecs_schema.problems(json.loads(row.with_suffix(".bare.ecs").read_bytes())) == []


@settings(max_examples=100, deadline=None)
@given(_events)
def test_whatever_a_row_holds_its_fields_are_declared_and_have_values_of_their_types(event: DuoEvent) -> None:
    assert ecs_schema.problems(json.loads(FORMATTER.format(event))) == []


@pytest.mark.parametrize(
    ("log_type", "dataset"),
    [
        ("auth", "cisco_duo.auth"),
        ("activity", "cisco_duo.activity"),
        ("telephony", "cisco_duo.telephony_v2"),
        ("trustmonitor", "cisco_duo.trust_monitor"),
        ("admin", "cisco_duo.admin"),
        ("offline_enrollment", "cisco_duo.offline_enrollment"),
    ],
)
def test_a_document_names_its_log_as_elastic_does(log_type: str, dataset: str) -> None:
    document = _write(log_type)
    assert (document["event"]["module"], document["event"]["dataset"]) == ("cisco_duo", dataset)
    assert document["data_stream"] == {"type": "logs", "dataset": dataset, "namespace": "default"}
    assert document["event"]["kind"] == "event"
    assert document["ecs"] == {"version": ECS_VERSION}


def test_a_log_in() -> None:
    document = _write(
        "auth",
        txid="t1",
        timestamp=1700000000,
        event_type="authentication",
        result="denied",
        reason="no_response",
        factor="duo_push",
        email="jdoe@example.com",
        alias="",
        user={"key": "DU1", "name": "jdoe", "groups": ["Staff", ""]},
        application={"key": "DI1", "name": "Corp VPN"},
        access_device={
            "ip": "203.0.113.9",
            "hostname": None,
            "browser": "Chrome",
            "browser_version": "133.0",
            "os": "Windows",
            "os_version": "11",
            "flash_version": "uninstalled",
            "is_encryption_enabled": True,
            "is_firewall_enabled": "unknown",
            "security_agents": "unknown",
            "location": {"city": "Ann Arbor", "state": "Michigan", "country": "United States"},
        },
        auth_device={"ip": "198.51.100.7", "name": "+1 555 0100"},
    )
    event, source = document["event"], document["source"]
    assert document["@timestamp"] == "2023-11-14T22:13:20.000Z"
    assert [event[name] for name in ("category", "type", "outcome", "reason")] == [
        ["authentication"], ["info"], "failure", "no_response",
    ]  # fmt: skip
    assert (source["ip"], source["address"]) == ("203.0.113.9", "203.0.113.9")
    assert source["user"] == {"name": "jdoe", "id": "DU1", "email": "jdoe@example.com", "group": {"name": ["Staff"]}}
    assert document["user"] == {"name": "jdoe", "id": "DU1", "email": "jdoe@example.com"}
    assert document["user_agent"] == {"name": "Chrome", "version": "133.0", "os": {"name": "Windows", "version": "11"}}
    assert document["related"] == {"ip": ["203.0.113.9", "198.51.100.7"], "user": ["jdoe"], "hosts": ["203.0.113.9"]}
    assert document["cisco_duo"]["auth"] == {
        "txid": "t1",
        "event_type": "authentication",
        "result": "denied",
        "reason": "no_response",
        "factor": "duo_push",
        "email": "jdoe@example.com",
        "application": {"key": "DI1", "name": "Corp VPN"},
        "auth_device": {"ip": "198.51.100.7", "name": "+1 555 0100"},
        "access_device": {
            "ip": "203.0.113.9",
            "flash_version": "uninstalled",
            "is_encryption_enabled": "true",
            "is_firewall_enabled": "unknown",
            "location": {"city": "Ann Arbor", "state": "Michigan", "country": "United States"},
        },
    }


def test_a_log_ins_source_is_its_host_where_duo_tells_that() -> None:
    document = _write("auth", result="success", access_device={"ip": "203.0.113.9", "hostname": "WKS-1"})
    assert document["source"]["address"] == "WKS-1"
    assert document["related"]["hosts"] == ["WKS-1"]
    assert document["event"]["outcome"] == "success"


def test_an_activity() -> None:
    details = {"status": "Active", "groups": [{"name": "Owners", "key": "DG1"}], "phone": None}
    document = _write(
        "activity",
        activity_id="a1",
        akey="DA1",
        ts="2023-03-21T15:51:22.591015+00:00",
        action={"name": "webauthncredential_create", "details": None},
        actor={"key": "DU1", "name": "jdoe", "type": "user", "details": json.dumps(details)},
        target={"key": "WA1", "name": "WA1", "type": "webauthn_credential", "details": '{"passwordless_authorized":false}'},
        old_target=None,
        application={"key": "DI1", "name": "Corp VPN", "type": "websdk"},
        outcome={"result": "FAILURE"},
        access_device={
            "ip": {"address": "203.0.113.9"},
            "browser": "Chrome",
            "epkey": "EP1",
            "location": {"country": "France"},
        },
    )
    told = document["cisco_duo"]["activity"]
    assert document["@timestamp"] == "2023-03-21T15:51:22.591Z"
    assert (told["id"], told["akey"], told["outcome"]) == ("a1", "DA1", "FAILURE")
    assert told["action"] == {"name": "webauthncredential_create"}
    assert told["actor"]["details"] == {"status": "Active", "groups": [{"name": "Owners", "key": "DG1"}]}
    assert told["target"]["details"] == {"passwordless_authorized": False}
    assert told["access_device"] == {
        "ip": {"address": "203.0.113.9"}, "browser": "Chrome", "epkey": "EP1", "location": {"country": "France"},
    }  # fmt: skip
    assert "old_target" not in told
    event = document["event"]
    assert (event["id"], event["action"], event["outcome"]) == ("a1", "webauthncredential_create", "failure")
    assert document["user"]["name"] == "jdoe"
    assert document["source"]["ip"] == "203.0.113.9"
    assert document["related"] == {"ip": ["203.0.113.9"], "user": ["jdoe"]}


def test_a_programs_activity_has_no_user() -> None:
    document = _write("activity", action="user_create", actor={"name": "Sync", "type": "adminapi"})
    assert "user" not in document
    assert document["cisco_duo"]["activity"]["actor"] == {"name": "Sync", "type": "adminapi"}


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("Wrong words", {"text": "Wrong words"}),
        ('{"a":', {"text": '{"a":'}),
        ("[1]", {"text": "[1]"}),
        ('{"a":' * 30 + "1" + "}" * 30, {"text": '{"a":' * 30 + "1" + "}" * 30}),
        ('{"a":"\\u0000"}', {"text": '{"a":"\\u0000"}'}),
        ('{"a":{"b":[null,""]},"c":0}', {"c": 0}),
    ],
)
def test_details_are_an_object_whatever_they_hold(details: str, expected: dict[str, object]) -> None:
    target = _write("activity", target={"name": "x", "details": details})["cisco_duo"]["activity"]["target"]
    assert target["details"] == expected


def test_a_message_or_call() -> None:
    document = _write(
        "telephony", telephony_id="p1", txid="t1", ts="2023-03-21T22:34:49.466370+00:00", context="enrollment", type="sms",
        phone="+15555550100", credits=1,
    )  # fmt: skip
    assert document["cisco_duo"]["telephony_v2"] == {
        "id": "p1", "txid": "t1", "event_type": "enrollment", "type": "sms", "phone_number": "+15555550100", "credits": 1,
    }  # fmt: skip
    assert document["event"]["id"] == "p1"


def test_a_surfaced_log_in() -> None:
    document = _write(
        "trustmonitor",
        sekey="SE1",
        type="auth",
        state="new",
        surfaced_timestamp=1605602911680,
        priority_event=True,
        low_risk_ip="unknown",
        explanations=[{"type": "NEW_IP", "summary": "New."}],
        triage_event_uri="https://admin.example.com/trust-monitor?sekey=SE1",
        surfaced_auth={
            "txid": "t1",
            "timestamp": 1605583153,
            "result": "denied",
            "user": {"key": "DU1", "name": "jdoe", "groups": ["Staff"]},
            "access_device": {"ip": "203.0.113.9", "browser": "Chrome", "security_agents": "unknown"},
        },
    )
    assert document["@timestamp"] == "2020-11-17T08:48:31.680Z"
    assert document["cisco_duo"]["trust_monitor"] == {
        "sekey": "SE1",
        "type": "auth",
        "state": "new",
        "priority_event": True,
        "explanations": [{"type": "NEW_IP", "summary": "New."}],
        "triage_event_uri": "https://admin.example.com/trust-monitor?sekey=SE1",
        "surfaced_auth": {
            "txid": "t1",
            "timestamp": 1605583153,
            "isotimestamp": "2020-11-17T03:19:13.000Z",
            "result": "denied",
            "user": {"key": "DU1", "name": "jdoe", "groups": ["Staff"]},
            "access_device": {"ip": "203.0.113.9", "browser": "Chrome", "security_agents": "unknown"},
        },
    }
    assert document["event"]["id"] == "SE1"
    assert document["url"] == {
        "original": "https://admin.example.com/trust-monitor?sekey=SE1",
        "scheme": "https",
        "domain": "admin.example.com",
        "path": "/trust-monitor",
        "query": "sekey=SE1",
    }


def test_a_bypass() -> None:
    document = _write(
        "trustmonitor", sekey="SE1", type="bypass_status", bypass_status_enabled=1604337058989,
        enabled_by={"key": "DE1", "name": "Jane Admin"}, enabled_for={"key": "DU1", "name": "jdoe"},
    )  # fmt: skip
    told = document["cisco_duo"]["trust_monitor"]
    assert told["enabled_by"] == {"key": "DE1", "name": "Jane Admin"}
    assert told["enabled_for"] == {"key": "DU1", "name": "jdoe"}
    assert told["bypass_status_enabled"] == 1604337058989
    assert "surfaced_auth" not in told


def test_an_administrators_action_with_a_description_that_is_json() -> None:
    description = {"realname": "J. Doe", "email": "jdoe@example.com", "status": "Active", "Errors": "none"}
    document = _write(
        "admin", timestamp=1626781511, action="user_update", object="jdoe", username="Jane", description=json.dumps(description)
    )
    assert document["cisco_duo"]["admin"] == {
        "action": "user_update",
        "action_performed_on": "jdoe",
        "user": {"name": "Jane"},
        "flattened": description,
        "status": "Active",
        "errors": "none",
    }
    assert document["user"] == {
        "name": "Jane",
        "target": {"name": "jdoe"},
        "changes": {"name": "J. Doe", "email": "jdoe@example.com"},
    }
    event = document["event"]
    assert (event["category"], event["type"], event["outcome"]) == (["iam"], ["user", "change"], "success")
    assert "message" not in document


def test_an_administrators_action_with_a_description_in_words() -> None:
    document = _write("admin", action="activation_begin", object=None, username="Jane", description="Starting activation")
    assert (document["message"], document["event"]["reason"]) == ("Starting activation", "Starting activation")
    assert document["cisco_duo"]["admin"] == {"action": "activation_begin", "user": {"name": "Jane"}}
    assert "type" not in document["event"]


@pytest.mark.parametrize(
    "action", ["ad_sync_failed", "admin_2fa_error", "admin_login_error", "azure_sync_fail", "openldap_sync_failed"]
)
def test_the_name_of_an_administrators_action_says_that_it_failed(action: str) -> None:
    assert _write("admin", action=action)["event"]["outcome"] == "failure"


def test_an_enrolment() -> None:
    description = {"user_agent": "DuoCredProv/4.0.6.413 (Windows NT 10.0)", "hostname": "WKS-1", "factor": "duo_otp"}
    document = _write(
        "offline_enrollment", action="o2fa_user_provisioned", object="RDP", username="jdoe", description=json.dumps(description)
    )
    assert document["cisco_duo"]["offline_enrollment"] == {
        "action": "o2fa_user_provisioned", "object": "RDP", "user": {"name": "jdoe"}, "description": description,
    }  # fmt: skip
    assert document["user"] == {"name": "jdoe"}
    assert document["related"] == {"user": ["jdoe"], "hosts": ["WKS-1"]}


@pytest.mark.parametrize(
    ("actions", "category", "types"),
    [
        ("admin_login admin_2fa_error admin_reset_password adminapi_request_ip_denied", ["iam"], ["admin"]),
        ("admin_create admin_activation_create", ["iam"], ["admin", "creation"]),
        ("admin_update admin_factor_restrictions_update", ["iam"], ["admin", "change"]),
        ("activation_send_link", None, ["admin"]),
        ("activation_create_link", None, ["admin", "creation"]),
        ("activation_begin activation_set_password", None, None),
        ("group_delete", ["iam"], ["group", "deletion"]),
        ("integration_group_policy_add", None, ["group"]),
        ("policy_update", None, ["group", "change"]),
        ("bypass_view phone_associate user_restore user_import", ["iam"], ["user"]),
        ("user_pending_delete", ["iam"], ["user", "deletion"]),
        ("ad_sync_by_user_begin azure_sync_by_user_finish openldap_sync_by_user_begin openldap_sync_begin", None, ["user"]),
        (
            "ad_sync_begin azure_sync_fail openldap_sync_by_user_finish directory_sync_pause integration_skey_view",
            None,
            ["info"],
        ),
        ("credits_update hardtoken_update", None, ["info", "change"]),
        ("create_child_customer integration_create", None, ["info", "creation"]),
        ("regen_sms resend_enroll_codes send_enroll_code", None, ["info"]),
    ],
)
def test_an_administrators_action_is_of_the_kind_that_elastic_says(
    actions: str, category: list[str] | None, types: list[str] | None
) -> None:
    for action in actions.split():
        kind = kind_of_action(action)
        assert (kind.get("category"), kind.get("type")) == (category, types), action


def test_the_row_is_beside_it_where_that_was_chosen_as_elastic_keeps_it() -> None:
    raw = b'{"txid":"t1","odd":"\\ud800\xff"}'
    message = make_formatter(Format(EcsOptions(original=True))).format(DuoEvent(Stream("acme", "auth"), raw))
    document = json.loads(message)
    assert document["event"]["original"] == '{"txid":"t1","odd":"\\ud800\ufffd"}'
    assert document["tags"] == ["preserve_original_event"]


def test_a_row_without_a_time_has_the_time_at_which_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syslog_header.time, "time_ns", lambda: 1_800_000_000_123_000_000)
    assert _write("auth")["@timestamp"] == "2027-01-15T08:00:00.123Z"


def test_the_data_stream_has_the_namespace_that_was_chosen() -> None:
    message = make_formatter(Format(EcsOptions(namespace="eu"))).format(DuoEvent(Stream("acme", "auth"), b"{}"))
    assert json.loads(message)["data_stream"]["namespace"] == "eu"


@pytest.mark.parametrize(
    ("log_type", "row", "field"),
    [
        ("auth", {"rbfs_triggered_attacks": [{"detected_occurrences": "many"}]}, "rbfs_triggered_attacks"),
        ("auth", {"adaptive_trust_assessments": {"x": {"detected_attack_detectors": [""]}}}, "adaptive_trust_assessments"),
        ("auth", {"passport_assessment": {"is_supported": "unknown"}}, "passport_assessment"),
        ("activity", {"actor": {"details": ""}}, "actor"),
        ("trustmonitor", {"triage_event_uri": ""}, "url"),
        ("telephony", {"credits": 2**40}, "credits"),
        ("admin", {"action": "user_update", "description": '{"realname":7}'}, "changes"),
    ],
)
def test_what_has_nothing_of_its_type_is_left_out(log_type: str, row: dict[str, object], field: str) -> None:
    assert f'"{field}"' not in json.dumps(_write(log_type, **row))
