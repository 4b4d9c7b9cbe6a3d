"""CEF's profile ``dls``: for SIEM rules that were written against Duo Log Sync.

Place in the flow: called by the formatter once per event, with the facts of the event.

Kept from Duo Log Sync: vendor, product, class id and name, the keys, their order, the numbers and labels of the custom
strings, and Duo's own word for the outcome of a log-in. Mended: everything is escaped, what is absent is left out instead of
``None``, ``rt`` is in milliseconds for every log, ``dhost`` is the device's name (Duo Log Sync read a field that does not
exist), telephony has a class id, the severity is the event's own. IPv6 goes to ``c6a2``. Added, behind all these, where no rule
can miss it: what the standard profile says besides, under the same keys where Duo Log Sync left them free, else under keys that
begin with ``CiscoDuo``. Trust Monitor, which Duo Log Sync refused to write as CEF, and later log types are written as in the
standard profile.
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.facts import EventFacts
from transforms.formats import values
from transforms.formats.cef import encoder, keys, standard
from transforms.formats.cef.encoder import ACTION, DEVICE_ID, ID, OUTCOME
from transforms.formats.cef.keys import Key, Writer, custom, own
from transforms.records import DuoEvent

VENDOR = "Duo Security"
PRODUCT = "DuoLogSync"

# Duo's client library adds these to the rows of the first version of the logs; Duo Log Sync's rules are made of them.
_AUTH_EVENT_TYPE = "authentication"
_TELEPHONY_EVENT_TYPE = "telephony"

_IDS = (Key(" externalId=", "event_id", ID, encoder.identifier), Key(" deviceExternalId=", "tenant", DEVICE_ID))


def _always(text: str) -> Callable[[object], str]:
    return lambda _: text


TABLES: dict[str, tuple[Key, ...]] = {
    "authentication": (
        Key(" dhost=", "device.hostname"),
        *keys.SOURCE,
        custom("cs1", "integration", "application.name"),
        custom("cs2", "event_type", "category", _always(_AUTH_EVENT_TYPE)),
        custom("cs3", "factor", "log_in.factor"),
        Key(" outcome=", "log_in.result", OUTCOME),
        Key(" rt=", "time_ms", text=str),
        Key(" duser=", "target_user.name"),
        Key(" act=", "action", ACTION),
        *_IDS,
        Key(" reason=", "reason"),
        Key(" duid=", "target_user.key"),
        Key(" requestClientApplication=", "device", text=values.client),
        custom("cs4", "accessLocation", "src_place", values.place),
        custom("cs5", "trustedEndpointStatus", "log_in.trusted_endpoint_status"),
        custom("flexString1", "groups", "actor.groups", values.listed),
        custom("flexString2", "email", "log_in.email"),
        own("ApplicationKey", "application.key"),
        own("AuthDevice", "auth_device.name"),
        *keys.ACCESS_DEVICE,
        *keys.POSTURE,
        *keys.AUTH_DEVICE,
        *keys.LOG_IN,
        *keys.RISK,
    ),
    "telephony": (
        custom("cs1", "context", "telephony.context"),
        custom("cs2", "credits", "telephony.credits", encoder.whole_number),
        custom("cs3", "event_type", "category", _always(_TELEPHONY_EVENT_TYPE)),
        custom("cs4", "phone", "telephony.phone"),
        Key(" rt=", "time_ms", text=str),
        custom("cs5", "type", "action"),
        *_IDS,
        custom("cs6", "authTxid", "telephony.txid"),
    ),
    "activity": (
        *keys.SOURCE,
        Key(" act=", "action", ACTION),
        Key(" suser=", "actor.name"),
        Key(" rt=", "time_ms", text=str),
        Key(" msg=", "target.details"),
        Key(" outcome=", "outcome", OUTCOME),
        custom("cs1", "integration_name", "application.name"),
        custom("cs2", "integration_type", "application.type"),
        *_IDS,
        Key(" suid=", "actor.key"),
        Key(" duser=", "target_user.name"),
        Key(" duid=", "target_user.key"),
        Key(" shost=", "device.hostname"),
        Key(" requestClientApplication=", "device", text=values.client),
        custom("cs3", "targetName", "target_thing.name"),
        custom("cs4", "targetKey", "target_thing.key"),
        custom("cs6", "accessLocation", "src_place", values.place),
        custom("flexString1", "applicationKey", "application.key"),
        own("ActionDetails", "message"),
        own("ActorType", "actor.type"),
        own("TargetType", "target.type"),
        *keys.ACCESS_DEVICE,
        *keys.CHANGES,
    ),
}

_WRITER_OF = {category: Writer(table) for category, table in TABLES.items()}


def class_and_name(facts: EventFacts) -> tuple[str, str]:
    """The two header fields that say what kind of event it is."""
    if facts.category == "authentication":
        return _AUTH_EVENT_TYPE, _AUTH_EVENT_TYPE
    if facts.category == "telephony":
        return _TELEPHONY_EVENT_TYPE, _TELEPHONY_EVENT_TYPE
    if facts.category == "activity":
        return facts.event_class.partition(".")[2], encoder.constant(facts.actor.type, "activity", encoder.NAME)
    return standard.class_and_name(facts)


def extension(event: DuoEvent, facts: EventFacts) -> list[str]:
    """All keys and values in turn, each key with a space in front."""
    writer = _WRITER_OF.get(facts.category)
    return standard.extension(event, facts) if writer is None else writer(facts)
