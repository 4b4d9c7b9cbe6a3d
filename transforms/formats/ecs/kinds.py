"""What kind of event an administrator's action is, in the words that ECS has for it.

Place in the flow: asked by ``ecs`` for the activity log and the old administrator log.

Contract: for each action that Elastic's package cisco_duo knows, the ``event.category`` and ``event.type`` that it sets; for
others what those are by whose beginning they share. Actions of no known kind have neither.
"""

from __future__ import annotations

from functools import lru_cache

_IAM = ("admin_", "adminapi_", "bypass_", "phone_", "group_", "user_")
_BY_BEGINNING = (
    ("admin", ("admin_", "adminapi_")),
    ("group", ("group_", "integration_group_policy_", "policy_")),
    ("user", ("bypass_", "phone_", "user_", "ad_sync_by_user_", "azure_sync_by_user_", "openldap_sync_by_user_begin")),
    (
        "info",
        (
            "ad_sync_", "azure_", "create_child_", "credits_", "customer_", "delete_child_", "directory_", "edition_",
            "feature_", "hardtoken_", "integration_", "openldap_", "regen_", "resend_enroll_", "send_enroll_",
        ),
    ),
)  # fmt: skip
# Where the package departs from its own rule.
_EXCEPTIONS = {
    "openldap_sync_begin": "user",
    "activation_create_link": "admin",
    "activation_delete_link": "admin",
    "activation_send_link": "admin",
}
_BY_VERB = (("create", "creation"), ("update", "change"), ("delete", "deletion"))


@lru_cache(maxsize=1024)  # Duo has some two hundred actions
def kind_of_action(action: str) -> dict[str, list[str]]:
    """``category`` and ``type`` of ``event``. Not to be changed: it is kept."""
    kind = {"category": ["iam"]} if action.startswith(_IAM) else {}
    of = _EXCEPTIONS.get(action) or next((name for name, beginnings in _BY_BEGINNING if action.startswith(beginnings)), None)
    types = [*([of] if of else []), *(name for verb, name in _BY_VERB if verb in action)]
    return {**kind, "type": types} if types else kind
