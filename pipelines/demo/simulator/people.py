"""The invented company whose people log in: names, groups, applications, devices, places, and what can happen to them.

Place in the flow: ``inventions`` draws from these lists. Contract: nobody here exists; mail addresses are under example.com, IP
addresses come from the ranges that are reserved for documentation, telephone numbers are 555 numbers.
"""

from __future__ import annotations

import random

PEOPLE = (
    ("amara.okafor", "Amara Okafor"),
    ("jürgen.groß", "Jürgen Groß"),
    ("søren.ødegård", "Søren Ødegård"),
    ("maria.nunez", "María Núñez"),
    ("zofia.wójcik", "Zofia Wójcik"),
    ("li.na", "李娜"),
    ("taro.yamada", "山田 太郎"),
    ("olena.koval", "Олена Коваль"),
    ("yusuf.demir", "Yusuf Demir"),
    ("niamh.byrne", "Niamh O'Byrne"),
    ("grace.hall", "Grace Hall"),
    ("ravi.iyer", "Ravi Iyer"),
    ("EXAMPLE\\svc-backup", "Backup Service | nightly"),
    ("tariq=hassan", "Tariq Hassan"),
    ("chloé.martin", "Chloé Martin"),
    ("ben.adler", 'Ben "Benny" Adler'),
)
GROUPS = (
    "VPN Users",
    "All Employees",
    "Finance (EMEA)",
    "Engineering",
    "Privileged Administrators",
    "Contractors | External",
    "Geschäftsführung",
    "Help Desk",
    "Remote Workers",
    "Duo Pilot Group 2026",
)
APPLICATIONS = (
    "Corp VPN",
    "Microsoft 365",
    "Salesforce",
    "AWS Console (SSO)",
    "RDP Gateway",
    "Duo Central",
    "Büro-Portal",
    "SSH bastion",
)
PLACES = (
    ("Ann Arbor", "Michigan", "United States"),
    ("London", "England", "United Kingdom"),
    ("Zürich", "Zürich", "Switzerland"),
    ("São Paulo", "São Paulo", "Brazil"),
    ("東京", "東京都", "Japan"),
    ("Cork", "Munster", "Ireland"),
)
SYSTEMS = (
    ("Windows", "10.0.19045", "Chrome", "128.0.6613.84"),
    ("Windows", "10.0.22631", "Edge Chromium", "127.0.2651.105"),
    ("Mac OS X", "10.15.7", "Safari", "17.6"),
    ("Linux", "6.8", "Firefox", "129.0"),
    ("iOS", "17.6.1", "Mobile Safari", "17.6"),
)
AGENTS = ("Windows Defender", "CrowdStrike Falcon", "Cisco Secure Endpoint")
DENIED_REASONS = (
    "user_marked_fraud",
    "no_response",
    "user_cancelled",
    "invalid_passcode",
    "locked_out",
    "denied_by_policy",
    "anonymous_ip",
    "location_restricted",
    "endpoint_is_not_trusted",
    "anomalous_push",
)
GRANTED = (
    ("duo_push", "user_approved"),
    ("duo_push", "user_approved"),
    ("WebAuthn Security Key", "user_approved"),
    ("duo_mobile_passcode", "valid_passcode"),
    ("remembered_device", "remembered_device"),
    ("trusted_network", "trusted_network"),
    ("not_available", "bypass_user"),
)
ACTIONS = (
    ("admin_login", "admin"),
    ("user_update", "user"),
    ("user_create", "user"),
    ("bypass_create", "user_bypass"),
    ("policy_update", "policy"),
    ("integration_skey_view", "integration"),
    ("group_update", "group"),
    ("phone_associate", "phone"),
    ("hardtoken_create", "hardtoken"),
    ("webauthncredential_delete", "webauthn_credential"),
    ("log_export_start", "log_export"),
    ("o2fa_user_provisioned", "user"),
    ("management_system_sync_failure", "trusted_endpoints_integration"),
)
# The old administrator log's names; some differ from the activity log's.
OLD_ACTIONS = (
    "admin_login",
    "admin_login_error",
    "admin_2fa_error",
    "admin_create",
    "user_create",
    "user_update",
    "user_delete",
    "group_create",
    "integration_update",
    "bypass_create",
    "ad_sync_failed",
    "action_of_next_year",
)


def key(rng: random.Random, prefix: str) -> str:
    """A Duo object key: 20 capital letters and digits that begin with ``prefix``."""
    return prefix + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=20 - len(prefix)))


def ip(rng: random.Random) -> str:
    """An address of the documentation ranges; one in twelve is IPv6."""
    if rng.random() < 1 / 12:
        return f"2001:db8::{rng.randrange(1, 0xFFFF):x}:{rng.randrange(1, 0xFFFF):x}"
    return f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randrange(1, 255)}"


def phone(rng: random.Random) -> str:
    """A telephone number that is reserved for fiction."""
    return f"+1{rng.randrange(201, 990)}55501{rng.randrange(100):02d}"


def location(rng: random.Random) -> dict[str, str | None] | None:
    """Where an address is, as well as Duo knows it."""
    roll = rng.random()
    if roll < 0.03:
        return None
    city, state, country = rng.choice(PLACES)
    if roll < 0.15:
        return {"city": "-", "state": None, "country": country}
    return {"city": city, "state": state, "country": country}


def mail(login: str) -> str:
    """The mail address of a person."""
    return f"{login.replace(chr(92), '.').replace('=', '.')}@example.com"
