"""Which values are known of those fields of a row that have one of a few.

Place in the flow: each log type names its table; ``transforms.duo.drift`` tells what is not in it. Nothing that reads or
formats rows depends on it: Duo adds values without notice.

Contract: a key is a field that Duo itself fills from a list of its own, so that a value of it says nothing of anybody. Values
are in lower case; one that ends with ``_*`` stands for all that begin so. Left out are fields whose list nobody outside Duo
has, such as the types of targets: each would be told as new.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RowValues = Mapping[str, frozenset[str]]

NONE: RowValues = MappingProxyType({})
"""Of a log that has no such fields."""


def is_known(value: str, known: frozenset[str]) -> bool:
    """Whether a value is in a table."""
    lower = value.lower()
    return lower in known or f"{lower.partition('_')[0]}_*" in known


_FACTORS = frozenset(
    {
        "bypass_code",
        "digipass_go_7_token",
        "duo_mobile_passcode",
        "duo_push",
        "hardware_token",
        "not_available",
        "passcode",
        "phone_call",
        "remembered_device",
        "sms_passcode",
        "sms_refresh",
        "trusted_mobile_authenticator",
        "trusted_network",
        "u2f_token",
        "verified_duo_push",
        "webauthn chrome touch id",
        "webauthn credential",
        "webauthn security key",
        "yubikey_code",
        "yubikey_passcode",
    }
)
_REASONS = frozenset(
    {
        # of what was let in
        "allow_unenrolled_user",
        "allow_unenrolled_user_on_trusted_network",
        "allowed_by_policy",
        "bypass_user",
        "remembered_device",
        "trusted_location",
        "trusted_network",
        "user_approved",
        "valid_passcode",
        # of what was not
        "anomalous_push",
        "anonymous_ip",
        "call_timed_out",
        "could_not_determine_if_endpoint_was_trusted",
        "denied_by_policy",
        "deny_unenrolled_user",
        "endpoint_failed_google_verification",
        "endpoint_is_not_in_management_system",
        "endpoint_is_not_trusted",
        "error",
        "factor_restricted",
        "invalid_device",
        "invalid_management_certificate_collection_state",
        "invalid_passcode",
        "invalid_referring_hostname_provided",
        "location_restricted",
        "locked_out",
        "no_activated_duo_mobile_account",
        "no_disk_encryption",
        "no_duo_certificate_present",
        "no_keys_pressed",
        "no_referring_hostname_provided",
        "no_response",
        "no_screen_lock",
        "no_web_referer_match",
        "out_of_date",
        "platform_restricted",
        "rooted_device",
        "software_restricted",
        "touch_id_disabled",
        "user_cancelled",
        "user_disabled",
        "user_marked_fraud",
        "user_mistake",
        "user_not_in_permitted_group",
        "user_provided_invalid_certificate",
        "version_restricted",
    }
)
# What an action is done to is the first word of its name. Of the names themselves nobody outside Duo has the list.
_ACTIONS = frozenset(
    {
        "ad_*", "admin_*", "adminapi_*", "authproxy_*", "azure_*", "bypass_*", "customer_*", "deregister_*", "device_*",
        "directory_*", "group_*", "hardtoken_*", "integration_*", "ldap_*", "log_*", "management_*", "o2fa_*", "phone_*",
        "policy_*", "send_*", "trusted_*", "u2ftoken_*", "update_*", "user_*", "webauthncredential_*",
    }
)  # fmt: skip

AUTH: RowValues = MappingProxyType(
    {
        "event_type": frozenset({"authentication", "enrollment"}),
        "result": frozenset({"success", "denied", "fraud", "failure", "error"}),
        "factor": _FACTORS,
        "reason": _REASONS,
        "trusted_endpoint_status": frozenset({"trusted", "not trusted", "unknown"}),
    }
)
ACTIVITY: RowValues = MappingProxyType({"action.name": _ACTIONS, "outcome.result": frozenset({"success", "failure"})})
TELEPHONY: RowValues = MappingProxyType(
    {
        "context": frozenset({"administrator login", "authentication", "enrollment", "verify"}),
        "type": frozenset({"sms", "phone"}),
    }
)
TRUST_MONITOR: RowValues = MappingProxyType(
    {
        "type": frozenset({"auth", "bypass_status", "device_registration"}),
        "state": frozenset({"new", "processed"}),
    }
)
ADMIN: RowValues = MappingProxyType({"action": _ACTIONS})
OFFLINE_ENROLLMENT: RowValues = MappingProxyType({"action": frozenset({"o2fa_*"})})
