"""CEF's profile ``standard``: the keys of the CEF dictionary, used for what they mean.

Place in the flow: called by the formatter once per event, with the facts of the event.

Where things go: who acts is ``suser``/``suid``, whom it is done to ``duser``/``duid`` (in a log-in both are the user), the
application ``destinationServiceName``, Duo's id ``externalId``, the account ``deviceExternalId``, Duo's host ``dvchost``.
What has no key of its own has a fixed place among the custom ones; what does not find room there, a key that begins with
``CiscoDuo`` (``keys``). A place whose row has no value stays empty, the others do not move up: ``cs2`` of a log means the same
in every event.

A log type that has no table here is written by the table of all: its further texts get ``cs1``-``cs6``, ``flexString1`` and
``flexString2``, in their order, more are left out; numbers ``cn1``-``cn3``; times ``deviceCustomDate1`` and ``2``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transforms.facts import EventFacts
from transforms.formats import values
from transforms.formats.cef import encoder, keys
from transforms.formats.cef.keys import Key, Writer, custom, own
from transforms.process.lifetime import per_process
from transforms.records import DuoEvent

VENDOR = "Cisco"
PRODUCT = "Duo"

_TEXT_SLOTS = ("cs1", "cs2", "cs3", "cs4", "cs5", "cs6", "flexString1", "flexString2")
_NUMBER_SLOTS = ("cn1", "cn2", "cn3")
_TIME_SLOTS = ("deviceCustomDate1", "deviceCustomDate2")

_WHAT = (
    Key(" rt=", "time_ms", text=str),
    Key(" cat=", "category"),
    Key(" act=", "action", encoder.ACTION),
    Key(" outcome=", "outcome", encoder.OUTCOME),
    Key(" reason=", "reason"),
    Key(" externalId=", "event_id", encoder.ID, encoder.identifier),
    *keys.WHO,
)
_WHERE = (
    *keys.SOURCE,
    Key(" shost=", "device.hostname"),
    Key(" destinationServiceName=", "application.name"),
    Key(" requestClientApplication=", "device", text=values.client),
)
_TENANT = Key(" deviceExternalId=", "tenant", encoder.DEVICE_ID)

TABLES: dict[str, tuple[Key, ...]] = {
    "authentication": (
        *_WHAT,
        *_WHERE,
        custom("cs1", "factor", "log_in.factor"),
        custom("cs2", "authDevice", "auth_device.name"),
        custom("cs3", "applicationKey", "application.key"),
        custom("cs4", "accessLocation", "src_place", values.place),
        custom("cs5", "trustedEndpointStatus", "log_in.trusted_endpoint_status"),
        custom("cs6", "duoResult", "log_in.result"),
        custom("flexString1", "groups", "actor.groups", values.listed),
        custom("flexString2", "email", "log_in.email"),
        _TENANT,
        *keys.ACCESS_DEVICE,
        *keys.POSTURE,
        *keys.AUTH_DEVICE,
        *keys.LOG_IN,
        *keys.RISK,
    ),
    "activity": (
        *_WHAT,
        *_WHERE,
        Key(" msg=", "message"),
        custom("cs1", "actorType", "actor.type"),
        custom("cs2", "targetType", "target.type"),
        custom("cs3", "targetName", "target_thing.name"),
        custom("cs4", "targetKey", "target_thing.key"),
        custom("cs5", "applicationType", "application.type"),
        custom("cs6", "accessLocation", "src_place", values.place),
        custom("flexString1", "applicationKey", "application.key"),
        _TENANT,
        *keys.ACCESS_DEVICE,
        *keys.CHANGES,
    ),
    "telephony": (
        *_WHAT,
        custom("cs1", "context", "telephony.context"),
        custom("cs2", "phone", "telephony.phone"),
        custom("cs3", "authTxid", "telephony.txid"),
        custom("cn1", "credits", "telephony.credits", encoder.whole_number),
        _TENANT,
    ),
    "trustmonitor": (
        *_WHAT[:4],
        Key(" reason=", "log_in.reason"),
        *_WHAT[5:],
        *_WHERE,
        Key(" msg=", "finding.explanations", text=values.summaries),
        Key(" request=", "url"),
        custom("cs1", "state", "finding.state"),
        custom("cs2", "priorityReasons", "finding.priority_reasons", values.labels),
        custom("cs3", "triagedAsInteresting", "finding.triaged_as_interesting", values.truth),
        custom("cs4", "authTxid", "finding.log_in_id"),
        custom("cs5", "factor", "log_in.factor"),
        custom("cs6", "duoResult", "log_in.result"),
        custom("flexString1", "groups", "actor.groups", values.listed),
        custom("flexString2", "email", "log_in.email"),
        custom("deviceCustomDate1", "stateUpdated", "finding.state_updated_ms", str),
        custom("deviceCustomDate2", "bypassEnabled", "finding.bypass_enabled_ms", str),
        Key(" start=", "finding.log_in_ms", text=str),
        _TENANT,
        own("Explanations", "finding.explanations", values.kinds),
        own("PriorityEvent", "finding.priority_event", values.truth),
        own("PriorityKinds", "finding.priority_reasons", values.kinds),
        own("FromCommonNetblock", "finding.from_common_netblock", values.truth),
        own("FromNewUser", "finding.from_new_user", values.truth),
        own("LowRiskIp", "finding.low_risk_ip", values.truth),
        own("EventType", "log_in.event_type"),
        own("ApplicationKey", "application.key"),
        own("AuthDevice", "auth_device.name"),
        own("TrustedEndpointStatus", "log_in.trusted_endpoint_status"),
        *keys.ACCESS_DEVICE,
        *keys.POSTURE,
        *keys.AUTH_DEVICE,
        *keys.LOG_IN,
        *keys.RISK,
    ),
    "admin": (
        *_WHAT,
        *keys.SOURCE,
        Key(" msg=", "message"),
        custom("cs1", "object", "target_thing.name"),
        custom("cs2", "description", "target.details"),
        custom("cs3", "factor", "log_in.factor"),
        custom("cs4", "email", "log_in.email"),
        _TENANT,
    ),
    "offline_enrollment": (
        *_WHAT,
        Key(" shost=", "device.hostname"),
        Key(" requestClientApplication=", "device", text=values.client),
        Key(" msg=", "message"),
        custom("cs1", "factor", "log_in.factor"),
        custom("cs2", "integration", "application.name"),
        custom("cs3", "description", "target.details"),
        _TENANT,
    ),
}

_WRITERS: dict[str, Writer] = per_process("writers of CEF extensions", dict)


def class_and_name(facts: EventFacts) -> tuple[str, str]:
    """The two header fields that say what kind of event it is."""
    return facts.event_class, facts.title


def extension(event: DuoEvent, facts: EventFacts) -> list[str]:
    """All keys and values in turn, each key with a space in front."""
    writer = _WRITERS.get(facts.category) or _writer(facts)
    return writer(facts, event.stream.api_host)


def _writer(facts: EventFacts) -> Writer:
    table = TABLES.get(facts.category) or _table_of_all(facts)
    _WRITERS[facts.category] = writer = Writer(table, ((" dvchost=", encoder.HOST),))
    return writer


def _table_of_all(facts: EventFacts) -> tuple[Key, ...]:
    texts, numbers, times = (tuple(label for label, _ in further) for further in (facts.texts, facts.numbers, facts.times_ms))
    return (
        *_WHAT,
        *_WHERE,
        Key(" msg=", "message"),
        Key(" request=", "url"),
        *(custom(slot, label, "texts", _nth(i)) for i, (slot, label) in enumerate(zip(_TEXT_SLOTS, texts, strict=False))),
        *(custom(slot, label, "numbers", _nth(i)) for i, (slot, label) in enumerate(zip(_NUMBER_SLOTS, numbers, strict=False))),
        *(custom(slot, label, "times_ms", _nth(i)) for i, (slot, label) in enumerate(zip(_TIME_SLOTS, times, strict=False))),
        _TENANT,
        *keys.PLACED,
        *keys.ACCESS_DEVICE,
        *keys.POSTURE,
        *keys.AUTH_DEVICE,
        *keys.LOG_IN,
        *keys.RISK,
        *keys.CHANGES,
    )


def _nth(number: int) -> Callable[[Sequence[tuple[str, str | int | None]]], str | None]:
    def text(further: Sequence[tuple[str, str | int | None]]) -> str | None:
        value = further[number][1]
        return encoder.whole_number(value) if isinstance(value, int) else value

    return text
