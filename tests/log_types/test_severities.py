"""How grave an administrator's action is, in the activity log and in the administrator log of API v1 alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES, severities

DOCUMENT = (Path(__file__).parents[2] / "docs" / "severity.md").read_text(encoding="utf-8")
ADMIN_API = {"type": "Admin API", "raw_type": "adminapi", "name": "Reports"}


def _in_admin_log(action: str, details: Any = None) -> int:
    row = {"action": action, "description": details if details is None or isinstance(details, str) else json.dumps(details)}
    return LOG_TYPES["admin"].facts(DuoEvent(Stream("acme", "admin"), json.dumps(row).encode())).severity


def _in_activity_log(action: str, details: Any = None, *, result: str = "SUCCESS", old: Any = None, **row: Any) -> int:
    told = {
        "action": {"name": action, "details": row.pop("words", None)},
        "target": {"type": row.pop("kind", "user"), "details": None if details is None else json.dumps(details)},
        "old_target": None if old is None else {"details": json.dumps(old)},
        "outcome": {"result": result},
    }
    return LOG_TYPES["activity"].facts(DuoEvent(Stream("acme", "activity"), json.dumps(told).encode())).severity


# Action, what it changes, the least that one of these rates it: medium is 5, high is 7.
RATED: tuple[tuple[str, dict[str, Any] | None, int, str], ...] = (
    ("user_update", {"status": "Bypass"}, 5, "Panther: Duo.Admin.User.MFA.Bypass.Enabled; Splunk: set user status to bypass"),
    ("admin_single_sign_on_update", {"enforcement_status": "disabled"}, 5, "Panther: Duo.Admin.SSO.SAML.Requirement.Disabled"),
    ("admin_single_sign_on_update", {"enforcement_status": "optional"}, 5, "Panther: Duo.Admin.SSO.SAML.Requirement.Disabled"),
    ("integration_create", ADMIN_API, 7, "Panther: Duo.Admin.New.Admin.API.App.Integration"),
    ("admin_create", {"role": "Owner"}, 7, "Panther: Duo.Admin.Create.Admin; Sentinel: admin user created (medium)"),
    ("admin_delete", None, 5, "Sentinel: admin user deleted"),
    ("admin_reset_password", None, 7, "Sentinel: admin password reset"),
    ("admin_lockout", {"message": "Admin temporarily locked out"}, 5, "Panther: Duo.Admin.Lockout"),
    ("bypass_create", {"count": 1}, 5, "Panther: Duo.Admin.Bypass.Code.Created; Datadog"),
    ("bypass_view", None, 5, "Panther: Duo.Admin.Bypass.Code.Viewed"),
    ("integration_skey_view", None, 5, "Panther: Duo.Admin.App.Integration.Secret.Key.Viewed"),
    ("update_admin_factor_restrictions", {"allowed_factors": "Duo push"}, 5, "Panther: Duo.Admin.MFA.Restrictions.Updated"),
    ("policy_update", {"allow_factor_sms": False}, 5, "Panther: Duo.Admin.Policy.Updated"),
    ("policy_update", {"auth_status": "Allow access without 2FA"}, 5, "Splunk: policy bypass 2FA"),
    ("policy_create", {"networks_allow": "192.0.2.0/24"}, 5, "Splunk: policy allow network bypass 2FA"),
    ("policy_bulk_delete", None, 5, "Splunk: bulk policy deletion"),
)


@pytest.mark.parametrize(("action", "details", "least", "rule"), RATED, ids=[f"{r[0]}-{r[3]}" for r in RATED])
def test_an_action_is_as_grave_as_public_rules_rate_it(action: str, details: Any, least: int, rule: str) -> None:
    assert _in_admin_log(action, details) >= least, rule
    assert _in_activity_log(action, details) >= least, rule


@pytest.mark.parametrize(("action", "details", "least", "rule"), RATED, ids=[f"{r[0]}-{r[3]}" for r in RATED])
def test_one_that_failed_is_no_lower_than_one_that_was_done(action: str, details: Any, least: int, rule: str) -> None:
    assert _in_activity_log(action, details, result="FAILURE") >= _in_activity_log(action, details)
    for ending in severities.FAILED_ENDINGS:
        by_name = severities.BY_ACTION.get(action, severities.USUAL)
        assert _in_admin_log(action + ending, details) == _in_activity_log(action + ending, details, result="") >= by_name


def test_both_logs_rate_the_same_action_alike() -> None:
    for action in severities.BY_ACTION:
        if not action.endswith("_failure"):
            assert _in_admin_log(action) == _in_activity_log(action) == severities.BY_ACTION[action], action


def test_fraud_that_an_administrator_reports_is_as_grave_as_one_that_a_user_reports() -> None:
    reported = {"ip_address": "203.0.113.9", "factor": "push", "error": "Login request reported as fraudulent."}
    by_user = LOG_TYPES["auth"].facts(DuoEvent(Stream("acme", "auth"), b'{"result":"fraud"}')).severity
    assert _in_admin_log("admin_2fa_error", reported) == by_user
    assert _in_activity_log("admin_login", result="FAILURE", words=json.dumps(reported)) == by_user


def test_a_log_in_that_trust_monitor_surfaced_is_as_grave_as_the_log_in() -> None:
    row = {"type": "auth", "priority_event": False, "surfaced_auth": {"result": "fraud"}}
    facts = LOG_TYPES["trustmonitor"].facts(DuoEvent(Stream("acme", "trustmonitor"), json.dumps(row).encode()))
    assert facts.severity == severities.FRAUD


def test_a_user_who_was_in_bypass_before_was_not_set_to_it() -> None:
    bypass = {"status": "Bypass"}
    assert _in_activity_log("user_update", bypass, old={"status": "Active"}) == severities.WEAKENED
    assert _in_activity_log("user_update", bypass, old=bypass) == severities.USUAL


def test_the_rules_of_lock_out_are_grave_by_their_target_or_by_their_settings() -> None:
    assert _in_activity_log("update", {"x": 1}, kind="login_settings") == severities.WEAKENED
    assert _in_admin_log("customer_update", {"lockout_threshold": 100}) == severities.WEAKENED


def test_an_application_of_another_kind_is_less_grave_than_one_of_the_admin_api() -> None:
    assert _in_admin_log("integration_create", {"type": "1Password", "raw_type": "1password"}) == 6
    assert _in_activity_log("integration_create", kind="adminapi_integrations") == severities.OPENED


@pytest.mark.parametrize("details", ["{", "[]", "words", "{}", '{"status":["Bypass"]}', "{" * 5000, ""])
def test_odd_details_cost_nothing_but_what_they_would_have_said(details: str) -> None:
    assert _in_admin_log("policy_update", details) == 6


def test_the_document_has_every_action_with_its_number() -> None:
    rows = dict(line.strip("| ").split(" | ")[:2] for line in DOCUMENT.splitlines() if line.startswith("| `"))
    assert {action.strip("`"): int(number) for action, number in rows.items()} == severities.BY_ACTION
