"""How grave an administrator's action is, by what it does: the same for the old administrator log and for the activity log.

Place in the flow: asked by the log types ``admin`` and ``activity`` once per event. docs/severity.md shows the tables.

Contract: 1 (lowest) to 10. What the public detection rules of Panther, Sigma, Splunk and Microsoft Sentinel about Duo rate
medium is at least 5, what they rate high at least 7. An action that failed is never lower than the same one that was done:
whoever tries is no better than whoever succeeds. The two logs name some actions differently; the table has both names.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from transforms.duo.log_types.decoding import RowDecoder
from transforms.errors import Undeliverable

USUAL = 3
FRAUD = 9  # as a user's report of it in the authentication log
FAILED = 5
FAILED_LOG_IN = 6
WEAKENED = 7
OPENED = 8

BY_ACTION = {
    # Secrets are shown: whoever has them logs in as anybody, or signs as the application.
    "bypass_create": 7,
    "bypass_view": 7,
    "integration_skey_view": 7,
    "integration_skey_bulk_view": 7,
    "management_system_view_password": 7,
    "management_system_view_token": 7,
    # Who administers Duo changes.
    "admin_create": 7,
    "admin_delete": 7,
    "admin_reset_password": 7,
    "admin_lockout": 6,
    "admin_update": 5,
    "admin_send_reset_password_email": 5,
    "admin_activate_duo_push": 5,
    "admin_reactivates_duo_push": 5,
    "admin_rectivates_duo_push": 5,  # Duo's spelling
    # What protects log-ins is removed or changed.
    "integration_delete": 7,
    "policy_delete": 7,
    "policy_bulk_delete": 7,
    "integration_create": 6,
    "integration_policy_unassign": 6,
    "integration_group_policy_remove": 6,
    "policy_create": 6,
    "policy_update": 6,
    "admin_single_sign_on_update": 6,
    "admin_factor_restrictions": 6,
    "update_admin_factor_restrictions": 6,
    "user_adminapi_lockout": 5,
    "user_lockout_cleared": 5,
    "user_not_enrolled_lockout": 5,
    "user_delete": 5,
    "user_bulk_delete": 6,
    "group_delete": 5,
    "deregister_devices": 5,
    # Logs leave Duo.
    "log_export_start": 6,
    "log_export_complete": 6,
    "log_export_failure": 6,
}
# The settings of lock-out, in the activity log and in the administrator log.
_LOCKOUT_TARGETS = {"login_settings", "lockout_settings"}
_MANAGEMENT_APIS = {"adminapi", "accountsapi"}
_MANAGEMENT_API_TARGETS = {"adminapi_integrations"}
FAILED_ENDINGS = ("_error", "_failed", "_fail", "_failure")
"""How names of actions end that say by themselves that it failed."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """What the details of a target can hold of which the gravity of a change depends."""

    status: str | None = None
    enforcement_status: str | None = None
    raw_type: str | None = None
    type: str | None = None
    auth_status: str | None = None
    authentication_status: str | None = None
    networks_allow: str | None = None
    lockout_threshold: str | None = None
    lockout_expire_duration: str | None = None
    lockout_expire_units: str | None = None


NO_CHANGE = Change()

_read_change = RowDecoder(Change)


def severity(
    action: str,
    *,
    failed: bool,
    kind: str | None = None,
    now: Change = NO_CHANGE,
    old_details: str | None = None,
    words: str = "",
) -> int:
    """How grave an action is.

    Args:
      action: Duo's name of it.
      failed: it was only tried.
      kind: Duo's type of the target.
      now: what the target was changed to. old_details: the JSON text of what it was.
      words: what Duo says of a failure.
    """
    if failed and "fraud" in words.lower():
        return FRAUD
    gravity = _by_name(action, failed)
    if kind in _LOCKOUT_TARGETS:
        gravity = max(gravity, WEAKENED)
    if kind in _MANAGEMENT_API_TARGETS and action == "integration_create":
        gravity = OPENED
    return gravity if now is NO_CHANGE else max(gravity, _of_change(action, now, old_details))


@lru_cache(maxsize=1024)  # Duo has some two hundred actions
def _by_name(action: str, failed: bool) -> int:
    gravity = BY_ACTION.get(action, USUAL)
    if not failed and not action.endswith(FAILED_ENDINGS):
        return gravity
    done = next((action.removesuffix(ending) for ending in FAILED_ENDINGS if action.endswith(ending)), action)
    gravity = max(gravity, BY_ACTION.get(done, USUAL))
    return max(gravity, FAILED_LOG_IN if action.startswith(("admin_login", "admin_2fa")) else FAILED)


def change(details: str | None) -> Change:
    """What details say, where they are JSON."""
    if not details or details[0] != "{":
        return NO_CHANGE
    try:
        return _read_change(details.encode())
    except Undeliverable:
        return NO_CHANGE


def _of_change(action: str, now: Change, old_details: str | None) -> int:
    if action == "integration_create" and _is_management_api(now):
        return OPENED
    weakened = (
        (_is_bypass(now) and not _is_bypass(change(old_details)))
        or (action == "admin_single_sign_on_update" and (now.enforcement_status or "required").lower() != "required")
        or (action in {"policy_create", "policy_update"} and _lets_in_without_a_factor(now))
        or bool(now.lockout_threshold or now.lockout_expire_duration or now.lockout_expire_units)
    )
    return WEAKENED if weakened else USUAL


def _is_bypass(change: Change) -> bool:
    return (change.status or "").lower() == "bypass"


def _is_management_api(change: Change) -> bool:
    return any(name.replace(" ", "").lower() in _MANAGEMENT_APIS for name in (change.raw_type, change.type) if name)


def _lets_in_without_a_factor(change: Change) -> bool:
    told = (change.auth_status, change.authentication_status)
    return any("without 2fa" in text.lower() for text in told if text) or bool(change.networks_allow)
