"""Which fields Duo documents for the rows of each log, and of which type.

Place in the flow: each log type names its table; ``transforms.events`` checks filters and redactions against it when a
configuration is read. Nothing that reads or formats rows depends on it: Duo adds fields without notice.

Contract: a key is the dotted path of a value that is no object. A field that Duo writes in two shapes is ``any``, and so is
what is below it. Where a field has JSON as text, it is a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

FieldType = Literal["text", "number", "truth", "texts", "objects", "any"]
RowFields = Mapping[str, FieldType]


NONE: RowFields = MappingProxyType({})
"""Of a log of which nothing is documented."""


def _below(parent: str, fields: RowFields) -> dict[str, FieldType]:
    return {f"{parent}.{path}": kind for path, kind in fields.items()}


_PLACE: RowFields = MappingProxyType({"city": "text", "state": "text", "country": "text"})
_NAMED: RowFields = MappingProxyType({"key": "text", "name": "text"})
_TYPED: RowFields = MappingProxyType({**_NAMED, "type": "text"})
_PARTY: RowFields = MappingProxyType({**_TYPED, "details": "text"})
_BROWSER: RowFields = MappingProxyType(
    {
        "browser": "text",
        "browser_version": "text",
        "epkey": "text",
        "hostname": "text",
        "os": "text",
        "os_version": "text",
    }
)
_ASSESSMENT: RowFields = MappingProxyType(
    {
        "trust_level": "text",
        "reason": "text",
        "policy_enabled": "truth",
        "features_version": "text",
        "model_version": "text",
        "detected_attack_detectors": "texts",
        "preview_mode_enabled": "truth",
    }
)

AUTH: RowFields = MappingProxyType(
    {
        "txid": "text",
        "timestamp": "number",
        "isotimestamp": "text",
        "event_type": "text",
        "result": "text",
        "reason": "text",
        "factor": "text",
        "remembered_factor": "text",
        "email": "text",
        "alias": "text",
        "ood_software": "text",
        "trusted_endpoint_status": "text",
        **_below("user", {**_NAMED, "groups": "texts"}),
        **_below("application", {**_NAMED, "destination_name": "text"}),
        **_below("auth_device", {"ip": "text", **_NAMED, **_below("location", _PLACE)}),
        **_below(
            "access_device",
            {
                "ip": "text",
                **_BROWSER,
                "flash_version": "text",
                "java_version": "text",
                # true, false, or a text such as "unknown"
                "is_encryption_enabled": "any",
                "is_firewall_enabled": "any",
                "is_password_set": "any",
                "security_agents": "any",
                **_below("location", _PLACE),
            },
        ),
        **_below("trusted_session_info", {"trusted_session_uuid": "text"}),
        **_below("passport_assessment", {"is_supported": "truth", "reason": "text"}),
        **_below("adaptive_trust_assessments.more_secure_auth", _ASSESSMENT),
        **_below("adaptive_trust_assessments.remember_me", _ASSESSMENT),
        "rbfs_triggered_attacks": "objects",
    }
)

ACTIVITY: RowFields = MappingProxyType(
    {
        "activity_id": "text",
        "ts": "text",
        "akey": "text",
        **_below("action", {"name": "text", "details": "text"}),
        **_below("action_extended", {"name": "text", "details": "text"}),
        **_below("actor", _PARTY),
        **_below("target", _PARTY),
        **_below("old_target", _PARTY),
        **_below("application", _TYPED),
        **_below("access_device", {**_BROWSER, "ip.address": "text", **_below("location", _PLACE)}),
        "outcome.result": "text",
    }
)

TELEPHONY: RowFields = MappingProxyType(
    {
        "telephony_id": "text",
        "txid": "text",
        "ts": "text",
        "context": "text",
        "type": "text",
        "phone": "text",
        "credits": "number",
    }
)

TRUST_MONITOR: RowFields = MappingProxyType(
    {
        "sekey": "text",
        "type": "text",
        "state": "text",
        "state_updated_timestamp": "number",
        "surfaced_timestamp": "number",
        "surfaced": "number",
        "triaged_as_interesting": "truth",
        "triage_event_uri": "text",
        "priority_event": "truth",
        "priority_reasons": "objects",
        "explanations": "objects",
        # true, false, or a text such as "unknown"
        "from_common_netblock": "any",
        "from_new_user": "any",
        "low_risk_ip": "any",
        "bypass_status_enabled": "number",
        **_below("enabled_by", _NAMED),
        **_below("enabled_for", _NAMED),
        **_below("surfaced_auth", AUTH),
    }
)

API_V1: RowFields = MappingProxyType(
    {
        "timestamp": "number",
        "isotimestamp": "text",
        "username": "text",
        "action": "text",
        "object": "text",
        "description": "text",
    }
)
