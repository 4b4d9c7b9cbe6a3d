"""CEF's profile ``standard``: the keys of the CEF dictionary, used for what they mean.

Place in the flow: called by the formatter once per event, with the facts of the event.

Where things go: who acts is ``suser``/``suid``, whom it is done to ``duser``/``duid`` (in a log-in both are the user), the
application ``destinationServiceName``, Duo's id ``externalId``, the account ``deviceExternalId``, Duo's host ``dvchost``.
The further texts of a log type have fixed places: the first six are ``cs1``-``cs6``, the next two ``flexString1`` and
``flexString2``, more are left out; numbers ``cn1``-``cn3``; times ``deviceCustomDate1`` and ``2``. A place whose row has no
value stays empty, the others do not move up: ``cs2`` of a log means the same in every event.
"""

from __future__ import annotations

from transforms.formats.cef import encoder
from transforms.process.lifetime import per_process
from transforms.records import DuoEvent, EventFacts

VENDOR = "Cisco"
PRODUCT = "Duo"

_TEXT_SLOTS = (
    *((f"cs{i}", encoder.CUSTOM_STRING) for i in range(1, 7)),
    ("flexString1", encoder.STRING),
    ("flexString2", encoder.STRING),
)
_FIRST = (
    (" rt=", encoder.STRING),
    (" cat=", encoder.STRING),
    (" act=", encoder.ACTION),
    (" outcome=", encoder.OUTCOME),
    (" reason=", encoder.STRING),
    (" externalId=", encoder.ID),
    (" suser=", encoder.STRING),
    (" suid=", encoder.STRING),
    (" duser=", encoder.STRING),
    (" duid=", encoder.STRING),
    (encoder.SRC, encoder.STRING),
    (encoder.SRC_V6, encoder.STRING),
    (" shost=", encoder.STRING),
    (" destinationServiceName=", encoder.STRING),
    (" requestClientApplication=", encoder.STRING),
    (" msg=", encoder.STRING),
    (" request=", encoder.STRING),
)
_LAST = ((" dvchost=", encoder.HOST), (" deviceExternalId=", encoder.DEVICE_ID))
_NUMBER_SLOTS = ("cn1", "cn2", "cn3")
_TIME_SLOTS = ("deviceCustomDate1", "deviceCustomDate2")


_LAYOUTS: dict[str, encoder.Layout] = per_process("layouts of CEF extensions", dict)


def class_and_name(facts: EventFacts) -> tuple[str, str]:
    """The two header fields that say what kind of event it is."""
    return facts.event_class, facts.title


def extension(event: DuoEvent, facts: EventFacts) -> list[str]:
    """All keys and values in turn, each key with a space in front."""
    layout = _LAYOUTS.get(event.stream.log_type) or _lay_out(event.stream.log_type, facts)
    src, src_v6 = encoder.source_address(facts.src_ip)
    # In the order of the layout.
    values = [
        None if facts.time_ms is None else str(facts.time_ms),
        facts.category,
        facts.action,
        facts.outcome,
        facts.reason,
        encoder.identifier(facts.event_id),
        facts.actor_name,
        facts.actor_id,
        facts.target_name,
        facts.target_id,
        src,
        src_v6,
        facts.src_host,
        facts.service,
        facts.user_agent,
        facts.message,
        facts.url,
        *[text for _, text in facts.texts[: len(_TEXT_SLOTS)]],
        *(_whole_numbers(facts) if facts.numbers or facts.times_ms else ()),
        event.stream.api_host,
        facts.tenant,
    ]
    return encoder.write_row(layout, values)


def _whole_numbers(facts: EventFacts) -> list[str | None]:
    labelled_numbers = *facts.numbers[: len(_NUMBER_SLOTS)], *facts.times_ms[: len(_TIME_SLOTS)]
    return [encoder.whole_number(number) for _, number in labelled_numbers]


def _lay_out(log_type: str, facts: EventFacts) -> encoder.Layout:
    """Keys and lengths of a log type, whose further texts, numbers and times have the same labels in every event."""
    texts = [(labelled(slot, label), size) for (slot, size), (label, _) in zip(_TEXT_SLOTS, facts.texts, strict=False)]
    numbers = [labelled(slot, label) for slot, (label, _) in zip(_NUMBER_SLOTS, facts.numbers, strict=False)]
    times = [labelled(slot, label) for slot, (label, _) in zip(_TIME_SLOTS, facts.times_ms, strict=False)]
    slots = [*texts, *((key, encoder.CUSTOM_STRING) for key in numbers + times)]
    _LAYOUTS[log_type] = layout = encoder.lay_out(*zip(*_FIRST, *slots, *_LAST, strict=True))
    return layout


def labelled(slot: str, label: str) -> str:
    """The label's own pair and the key that it belongs to: written together, left out together."""
    return f" {slot}Label={encoder.constant(label, 'label', encoder.LABEL)} {slot}="
