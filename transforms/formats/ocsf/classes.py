"""Which class of OCSF an event is, and which of its activities.

Place in the flow: asked by ``ocsf`` once per event.

Contract: the class is told by what was done and to what, never by who did it, so an action is the same class when a person does
it in the Admin Panel and when a program does it by the Admin API. Hence no *API Activity*: it would need an address, which such
rows do not always have.

    log-ins to applications, and of administrators to Duo       3002 Authentication
    enrolments; what is done to users and administrators        3001 Account Change
    all else that administrators do                             3004 Entity Management
    Trust Monitor                                               2004 Detection Finding
    text messages and calls, for which there is no class        0    Base Event

What a class requires and a row does not have cannot be invented: such an event is a Base Event (``ocsf``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from transforms.facts import NO_PARTY, EventFacts


class OcsfClass(NamedTuple):
    """A class of OCSF 1.8.0."""

    uid: int
    name: str
    category_uid: int
    category_name: str
    activities: Mapping[int, str]


OTHER = 99
_IAM = (3, "Identity & Access Management")

BASE_EVENT = OcsfClass(0, "Base Event", 0, "Uncategorized", MappingProxyType({OTHER: "Other"}))
AUTHENTICATION = OcsfClass(3002, "Authentication", *_IAM, MappingProxyType({1: "Logon"}))
ACCOUNT_CHANGE = OcsfClass(
    3001,
    "Account Change",
    *_IAM,
    MappingProxyType(
        {
            1: "Create",
            2: "Enable",
            4: "Password Reset",
            5: "Disable",
            6: "Delete",
            9: "Lock",
            10: "MFA Factor Enable",
            11: "MFA Factor Disable",
            12: "Unlock",
        }
    ),
)
ENTITY_MANAGEMENT = OcsfClass(
    3004,
    "Entity Management",
    *_IAM,
    MappingProxyType(
        {
            1: "Create",
            2: "Read",
            3: "Update",
            4: "Delete",
            6: "Enroll",
            7: "Unenroll",
            8: "Enable",
            9: "Disable",
            10: "Activate",
            11: "Deactivate",
            12: "Suspend",
            13: "Resume",
        }
    ),
)
DETECTION_FINDING = OcsfClass(
    2004, "Detection Finding", 2, "Findings", MappingProxyType({1: "Create", 2: "Update", 3: "Close"})
)

_LOG_INS = ("admin_login", "admin_2fa")
# Whole actions or how they end; the first that fits.
_TO_ACCOUNTS = (
    ("lockout_cleared", 12),
    ("lockout", 9),
    ("reset_password", 4),
    ("activate_duo_push", 10),
    ("reactivates_duo_push", 10),
    ("rectivates_duo_push", 10),  # Duo's spelling
    ("o2fa_user_provisioned", 10),
    ("o2fa_user_reenrolled", 10),
    ("o2fa_user_deprovisioned", 11),
    ("bulk_enroll", 1),
    ("import", 1),
    ("pending_delete", OTHER),
    ("create", 1),
    ("delete", 6),
    ("restore", 2),
    ("enable", 2),
    ("disable", 5),
)
_TO_ENTITIES = (
    (7, frozenset({"unenroll", "deregister"})),
    (6, frozenset({"enroll", "register"})),
    (11, frozenset({"deactivate"})),
    (10, frozenset({"activate", "activation", "reactivate"})),
    (12, frozenset({"pause"})),
    (13, frozenset({"resume"})),
    (8, frozenset({"enable"})),
    (9, frozenset({"disable"})),
    (4, frozenset({"delete", "remove"})),
    (1, frozenset({"create", "add", "import"})),
    (
        3,
        frozenset({"update", "change", "rename", "set", "modify", "assign", "unassign", "associate", "disassociate", "resync"}),
    ),
    (2, frozenset({"view", "get", "read", "export", "download"})),
)


def class_of(facts: EventFacts) -> OcsfClass:
    """The class that an event belongs to."""
    if facts.category in ("authentication", "trustmonitor"):
        if facts.category == "trustmonitor":
            return DETECTION_FINDING
        return ACCOUNT_CHANGE if facts.action == "enrollment" else AUTHENTICATION
    if facts.category == "offline_enrollment":
        return ACCOUNT_CHANGE
    if facts.category not in ("activity", "admin"):
        return BASE_EVENT
    if (facts.action or "").startswith(_LOG_INS):
        return AUTHENTICATION
    return ENTITY_MANAGEMENT if facts.target_user is NO_PARTY else ACCOUNT_CHANGE


def activity_of(of: OcsfClass, facts: EventFacts) -> int:
    """Which of the activities of its class an event is."""
    if of is AUTHENTICATION:
        return 1
    if of is DETECTION_FINDING:
        if facts.finding.state_updated_ms is None:
            return 1
        return 3 if facts.finding.state == "processed" else 2
    if of is BASE_EVENT:
        return OTHER
    if facts.category == "authentication":
        return 10
    return _of_action(facts.action or "", to_account=of is ACCOUNT_CHANGE)


@lru_cache(maxsize=1024)  # Duo has some two hundred actions
def _of_action(action: str, *, to_account: bool) -> int:
    if to_account:
        return next((activity for ending, activity in _TO_ACCOUNTS if action.endswith(ending)), OTHER)
    words = set(action.split("_"))
    return next((activity for activity, verbs in _TO_ENTITIES if verbs & words), OTHER)


@lru_cache(maxsize=1024)
def head(uid: int, activity: int, action: str) -> dict[str, Any]:
    """What a class and an activity make of the numbers and names that every event has. Not to be changed: it is kept."""
    of = CLASSES[uid]
    name = of.activities.get(activity, "Other")
    return {
        "class_uid": uid,
        "class_name": of.name,
        "category_uid": of.category_uid,
        "category_name": of.category_name,
        "activity_id": activity,
        "activity_name": (action or name) if activity == OTHER else name,
        "type_uid": uid * 100 + activity,
        "type_name": f"{of.name}: {name}",
    }


CLASSES = {of.uid: of for of in (BASE_EVENT, AUTHENTICATION, ACCOUNT_CHANGE, ENTITY_MANAGEMENT, DETECTION_FINDING)}
