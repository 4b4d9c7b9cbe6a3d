"""CEF's profile ``standard``: the keys of the CEF dictionary, used for what they mean.

Place in the flow: called by the formatter once per event, with the facts of the event.

Where things go: who acts is ``suser``/``suid``, whom it is done to ``duser``/``duid`` (in a log-in both are the user), the
application ``destinationServiceName``, Duo's id ``externalId``, the account ``deviceExternalId``, Duo's host ``dvchost``.
The further texts of a log type have fixed places: the first six are ``cs1``-``cs6``, the next two ``flexString1`` and
``flexString2``, more are left out; numbers ``cn1``-``cn3``; times ``deviceCustomDate1`` and ``2``. A place whose row has no
value stays empty, the others do not move up: ``cs2`` of a log means the same in every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from transforms.events import DuoEvent, EventFacts
from transforms.formats.cef import encoder

VENDOR = "Cisco"
PRODUCT = "Duo"

_TEXT_SLOTS = (
    *((f"cs{i}", encoder.CUSTOM_STRING) for i in range(1, 7)),
    ("flexString1", encoder.STRING),
    ("flexString2", encoder.STRING),
)
_NUMBER_SLOTS = ("cn1", "cn2", "cn3")
_TIME_SLOTS = ("deviceCustomDate1", "deviceCustomDate2")


def class_and_name(facts: EventFacts) -> tuple[str, str]:
    """The two header fields that say what kind of event it is."""
    return facts.event_class, facts.title


def extension(event: DuoEvent, facts: EventFacts) -> str:
    """All key-value pairs, each with a space in front."""
    rt = "" if facts.time_ms is None else f" rt={facts.time_ms}"
    before = encoder.write(
        (
            (" cat=", facts.category, encoder.STRING),
            (" act=", facts.action, encoder.ACTION),
            (" outcome=", facts.outcome, encoder.OUTCOME),
            (" reason=", facts.reason, encoder.STRING),
            (" externalId=", encoder.identifier(facts.event_id), encoder.ID),
            (" suser=", facts.actor_name, encoder.STRING),
            (" suid=", facts.actor_id, encoder.STRING),
            (" duser=", facts.target_name, encoder.STRING),
            (" duid=", facts.target_id, encoder.STRING),
        )
    )
    after = encoder.write(_fields_after_source(event, facts))
    return f"{rt}{before}{encoder.source_address(facts.src_ip)}{after}"


def _fields_after_source(event: DuoEvent, facts: EventFacts) -> Iterator[encoder.Field]:
    yield " shost=", facts.src_host, encoder.STRING
    yield " destinationServiceName=", facts.service, encoder.STRING
    yield " requestClientApplication=", facts.user_agent, encoder.STRING
    yield " msg=", facts.message, encoder.STRING
    yield " request=", facts.url, encoder.STRING
    for (slot, longest_bytes), (label, text) in zip(_TEXT_SLOTS, facts.texts, strict=False):
        if text:
            yield labelled(slot, label), text, longest_bytes
    for slot, (label, number) in zip(_NUMBER_SLOTS, facts.numbers, strict=False):
        yield labelled(slot, label), encoder.whole_number(number), encoder.CUSTOM_STRING
    for slot, (label, time_ms) in zip(_TIME_SLOTS, facts.times_ms, strict=False):
        yield labelled(slot, label), encoder.whole_number(time_ms), encoder.CUSTOM_STRING
    yield " dvchost=", event.stream.api_host, encoder.HOST
    yield " deviceExternalId=", facts.tenant, encoder.DEVICE_ID


@lru_cache(maxsize=256)  # labels are constants of the log types
def labelled(slot: str, label: str) -> str:
    """The label's own pair and the key that it belongs to: written together, left out together."""
    return f" {slot}Label={encoder.constant(label, 'label', encoder.LABEL)} {slot}="
