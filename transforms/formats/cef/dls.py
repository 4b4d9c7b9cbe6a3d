"""CEF's profile ``dls``: for SIEM rules that were written against Duo Log Sync.

Place in the flow: called by the formatter once per event, with the facts of the event.

Kept from Duo Log Sync: vendor, product, class id and name, the keys, their order, the numbers and labels of the custom
strings, and Duo's own word for the outcome of a log-in. Mended: everything is escaped, what is absent is left out instead of
``None``, ``rt`` is in milliseconds for every log, ``dhost`` is the device's name (Duo Log Sync read a field that does not
exist), telephony has a class id, the severity is the event's own. IPv6 goes to ``c6a2``. Added at the end, where no rule can
miss it: ``act`` for log-ins (it tells an enrolment), ``externalId`` and, for the children of an MSP, ``deviceExternalId``.
Trust Monitor, which Duo Log Sync refused to write as CEF, and later log types are written as in the standard profile.
"""

from __future__ import annotations

from collections.abc import Callable

from transforms.formats.cef import encoder, standard
from transforms.formats.cef.encoder import ACTION, CUSTOM_STRING, DEVICE_ID, ID, OUTCOME, STRING
from transforms.records import DuoEvent, EventFacts

VENDOR = "Duo Security"
PRODUCT = "DuoLogSync"

# Duo's client library adds these to the rows of the first version of the logs; Duo Log Sync's rules are made of them.
_AUTH_EVENT_TYPE = "authentication"
_TELEPHONY_EVENT_TYPE = "telephony"


def class_and_name(facts: EventFacts) -> tuple[str, str]:
    """The two header fields that say what kind of event it is."""
    if facts.category == "authentication":
        return _AUTH_EVENT_TYPE, _AUTH_EVENT_TYPE
    if facts.category == "telephony":
        return _TELEPHONY_EVENT_TYPE, _TELEPHONY_EVENT_TYPE
    if facts.category == "activity":
        return facts.event_class.partition(".")[2], encoder.constant(
            dict(facts.texts).get("actorType"), "activity", encoder.NAME
        )
    return standard.class_and_name(facts)


def extension(event: DuoEvent, facts: EventFacts) -> list[str]:
    """All keys and values in turn, each key with a space in front."""
    writer = _EXTENSIONS.get(facts.category)
    if writer is None:
        return standard.extension(event, facts)
    return writer(facts) + encoder.write(
        (
            (" externalId=", encoder.identifier(facts.event_id), ID),
            (" deviceExternalId=", event.stream.account_id, DEVICE_ID),
        )
    )


def _auth(facts: EventFacts) -> list[str]:
    texts = dict(facts.texts)
    src, src_v6 = encoder.source_address(facts.src_ip)
    return encoder.write(
        (
            (" dhost=", facts.src_host, STRING),
            (encoder.SRC, src, STRING),
            (encoder.SRC_V6, src_v6, STRING),
            (" cs1Label=integration cs1=", facts.service, CUSTOM_STRING),
            (" cs2Label=event_type cs2=", _AUTH_EVENT_TYPE, CUSTOM_STRING),
            (" cs3Label=factor cs3=", texts.get("factor"), CUSTOM_STRING),
            (" outcome=", texts.get("duoResult"), OUTCOME),
            (" rt=", encoder.whole_number(facts.time_ms), STRING),
            (" duser=", facts.target_name, STRING),
            (" act=", facts.action, ACTION),
        )
    )


def _telephony(facts: EventFacts) -> list[str]:
    texts = dict(facts.texts)
    return encoder.write(
        (
            (" cs1Label=context cs1=", texts.get("context"), CUSTOM_STRING),
            (" cs2Label=credits cs2=", encoder.whole_number(dict(facts.numbers).get("credits")), CUSTOM_STRING),
            (" cs3Label=event_type cs3=", _TELEPHONY_EVENT_TYPE, CUSTOM_STRING),
            (" cs4Label=phone cs4=", texts.get("phone"), CUSTOM_STRING),
            (" rt=", encoder.whole_number(facts.time_ms), STRING),
            (" cs5Label=type cs5=", facts.action, CUSTOM_STRING),
        )
    )


def _activity(facts: EventFacts) -> list[str]:
    texts = dict(facts.texts)
    src, src_v6 = encoder.source_address(facts.src_ip)
    return encoder.write(
        (
            (encoder.SRC, src, STRING),
            (encoder.SRC_V6, src_v6, STRING),
            (" act=", facts.action, ACTION),
            (" suser=", facts.actor_name, STRING),
            (" rt=", encoder.whole_number(facts.time_ms), STRING),
            (" msg=", facts.target_details, STRING),
            (" outcome=", facts.outcome, OUTCOME),
            (" cs1Label=integration_name cs1=", facts.service, CUSTOM_STRING),
            (" cs2Label=integration_type cs2=", texts.get("applicationType"), CUSTOM_STRING),
        )
    )


_EXTENSIONS: dict[str, Callable[[EventFacts], list[str]]] = {
    "authentication": _auth,
    "telephony": _telephony,
    "activity": _activity,
}
