"""What Duo, or an attacker through Duo, could put into a row."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.formats import golden

ATTACKS = (
    "bob\n<134>Nov 14 22:13:20 h CEF:0|Cisco|Duo|1|auth.authentication.success|x|3|duser=bob",
    "bob\r\n<134>1 2023-11-14T22:13:20Z h a - - - CEF:0|",
    "bob\tusrName=admin\tsev=1",
    "bob^usrName=admin^sev=1",
    "LEEF:2.0|Cisco|Duo|1|auth_authentication|x09|usrName=bob",
    "CORP\\nina\\n<134>Nov 14 22:13:20 h LEEF:2.0|",
    "bob outcome=success",
    "bob outcome\\=success",
    "a|b\\|c||",
    "trailing\\",
    "trailing\\\\\\",
    "  spaces at both ends  ",
    " key=value other=",
    "=",
    "\\=",
    "\\n",
    "\x00NUL\x00",
    "\u2028forged\u2029line\x85",
    "\tTAB\x1b[31m\x7f\x9b",
    "😀👩‍👩‍👧 émoji ٠١٢",
    '"quoted"',
    "\ufeffBOM",
    "\ud800",
    '{"json":"a=b","c":"d\\\\e"}',
    "\\" * 2000,
    "=" * 4001,
    "é" * 1023,
    "😀" * 2000,
    "x" * 5000,
    " ",
    "",
)

texts = st.one_of(
    st.sampled_from(ATTACKS),
    st.text(alphabet=st.sampled_from('ab=\\| \n\r\t\x00\x85\u2028é😀"'), max_size=40),
    st.text(max_size=30),
)
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["name", "address", "x"]), inner)),
    max_leaves=6,
)
ips = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(
        ["0.0.0.0", "::", "203.0.113.9:443", "[2001:db8::1]:443", "2001:db8::1 port 7", "::ffff:192.0.2.1", "fe80::1%eth0"]
    ),
    texts,
)
times = st.sampled_from(
    [
        "2023-11-14T22:13:20.123456+00:00",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.5-08:00",
        "",
        "yesterday",
        "0001-01-01T00:00:00Z",
    ]
)


def _object(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object in which each field is as usual, missing, null or something else altogether."""
    loose = {name: st.one_of(usual, usual, usual, st.none(), junk) for name, usual in fields.items()}
    return st.fixed_dictionaries({}, optional=loose)


_place = _object(city=texts, state=texts, country=texts)
_details = st.one_of(texts, junk.map(json.dumps), st.dictionaries(texts, junk, max_size=3).map(json.dumps))
_party = _object(
    key=texts,
    name=texts,
    type=st.sampled_from(["user", "admin", "adminapi", "policy", "group", "new|\n"]),
    details=_details,
)
_factors = st.one_of(st.sampled_from(["duo_push", "bypass_code", "WebAuthn Security Key", "not_available"]), texts)
_emails = st.one_of(st.sampled_from(["jdoe@example.com", "j@", "a@b.c d"]), texts)
_truths = st.one_of(st.booleans(), st.sampled_from(["true", "false", "unknown"]), texts)
_amounts = st.one_of(st.integers(), st.floats(), texts, st.just(10**300))
_assessment = _object(
    trust_level=texts,
    reason=texts,
    policy_enabled=_truths,
    preview_mode_enabled=_truths,
    detected_attack_detectors=st.lists(texts, max_size=3),
    features_version=texts,
    model_version=texts,
)
_attack = _object(
    detector=texts,
    detected_occurrences=_amounts,
    threshold_occurrences=_amounts,
    threshold_time_frame=_amounts,
    country_code_access=texts,
    country_code_auth=texts,
    unrealistic_travel_velocity=_amounts,
    shadow_mode=_truths,
    suppressed=_truths,
)
_auth = _object(
    txid=texts,
    isotimestamp=times,
    timestamp=st.integers(),
    event_type=st.sampled_from(["authentication", "enrollment", "new one"]),
    result=st.sampled_from(["success", "denied", "fraud", "SUCCESS", "new=|"]),
    reason=texts,
    factor=_factors,
    remembered_factor=texts,
    email=_emails,
    alias=texts,
    ood_software=texts,
    user=_object(key=texts, name=texts, groups=st.lists(texts, max_size=3)),
    application=_object(key=texts, name=texts, destination_name=texts),
    auth_device=_object(ip=ips, key=texts, name=texts, location=_place),
    access_device=_object(
        ip=ips,
        hostname=texts,
        epkey=texts,
        os=texts,
        os_version=texts,
        browser=texts,
        browser_version=texts,
        is_encryption_enabled=_truths,
        is_firewall_enabled=_truths,
        is_password_set=_truths,
        security_agents=st.one_of(texts, st.lists(_object(security_agent=texts, version=texts), max_size=2)),
        location=_place,
    ),
    trusted_endpoint_status=texts,
    trusted_session_info=_object(trusted_session_uuid=texts),
    passport_assessment=_object(is_supported=_truths, reason=texts),
    adaptive_trust_assessments=st.dictionaries(
        st.one_of(st.sampled_from(["more_secure_auth", "remember_me"]), texts), st.one_of(_assessment, junk), max_size=3
    ),
    rbfs_triggered_attacks=st.lists(_attack, max_size=2),
)
_actions = st.sampled_from(["admin_login", "user_update", "policy_delete", "bypass_create", "group_create", "log_export_start"])
_rows = {
    "auth": _auth,
    "activity": _object(
        activity_id=texts,
        ts=times,
        akey=texts,
        action=st.one_of(_actions, texts, _object(name=st.one_of(_actions, texts), details=texts)),
        actor=_party,
        target=_party,
        old_target=_party,
        application=_party,
        access_device=_object(ip=_object(address=ips), hostname=texts, os=texts, epkey=texts, browser=texts, location=_place),
        outcome=_object(result=st.sampled_from(["SUCCESS", "FAILURE", "new=|"])),
    ),
    "telephony": _object(
        telephony_id=texts, txid=texts, ts=times, context=texts, type=texts, phone=texts, credits=st.integers()
    ),
    "trustmonitor": _object(
        sekey=texts,
        type=texts,
        state=texts,
        state_updated_timestamp=st.integers(),
        surfaced_timestamp=st.integers(),
        triaged_as_interesting=st.booleans(),
        triage_event_uri=texts,
        priority_event=_truths,
        from_common_netblock=_truths,
        from_new_user=_truths,
        low_risk_ip=_truths,
        priority_reasons=st.lists(_object(label=texts, type=texts), max_size=2),
        explanations=st.lists(_object(summary=texts, type=texts), max_size=2),
        surfaced_auth=_auth,
        bypass_status_enabled=st.integers(),
        enabled_by=_party,
        enabled_for=_party,
    ),
}


def rows(log_type: str) -> st.SearchStrategy[bytes]:
    """Raw rows of a log type; one in which text is not ASCII comes either escaped or as UTF-8."""
    described = _rows[log_type] if log_type in _rows else _as_in_golden(log_type)
    return st.builds(_raw, described, st.booleans())


def _as_in_golden(log_type: str) -> st.SearchStrategy[Any]:
    """Of a log type that is not described above: the fields and values that its golden rows have, and what else may come."""
    found: dict[str, list[Any]] = {}
    for path in golden.rows():
        if path.parent.name == log_type:
            for name, value in json.loads(path.read_bytes()).items():
                found.setdefault(name, []).append(value)
    return _object(**{name: st.one_of(st.sampled_from(values), texts) for name, values in found.items()})


def _raw(row: dict[str, Any], ascii_only: bool) -> bytes:
    return json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
