"""OCSF 1.8.0, the Open Cybersecurity Schema Framework.

Place in the flow: one of ``FORMATS``. The log type says what the row says (``EventFacts``), ``classes`` what class of event
that is, ``tables`` where single facts go, ``objects`` what is made of several.

Contract: see ``transforms.formats`` and ``from_facts``. Each message is one JSON object that is valid by the schema of its
class, whatever the row holds: a row that lacks what its class requires is written as a Base Event, with all that it says in
``unmapped``. Nothing that a row says is left out for want of a place. The log's name is ``metadata.log_name``.

``time`` is when it happened; where a row has no time, when it was written, as in a syslog header: the schema requires it. With
``original`` the row stands in ``raw_data``, too, as a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from transforms.config_keys import Doc
from transforms.facts import EventFacts
from transforms.formats import syslog_header
from transforms.formats.from_facts import ORIGINAL, FactsFormatter
from transforms.formats.ocsf import objects
from transforms.formats.ocsf.classes import (
    ACCOUNT_CHANGE,
    AUTHENTICATION,
    BASE_EVENT,
    DETECTION_FINDING,
    ENTITY_MANAGEMENT,
    OcsfClass,
    activity_of,
    class_of,
    head,
)
from transforms.formats.ocsf.tables import SEVERITY_NAMES, TABLE_OF_ALL, TABLES
from transforms.formats.tree import Tree, encode
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions

SCHEMA_VERSION = "1.8.0"

_PRODUCT = {"name": "Duo", "vendor_name": "Cisco"}
_REQUIRED = {AUTHENTICATION.uid: ("user", "service"), ACCOUNT_CHANGE.uid: ("user",), ENTITY_MANAGEMENT.uid: ("entity",)}
# What every class has.
_ALWAYS_MAPPED = {
    "time", "message", "severity_id", "severity", "status_id", "status", "status_code", "status_detail", "metadata", "unmapped",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OcsfOptions(FormatOptions):
    """The Open Cybersecurity Schema Framework 1.8.0."""

    name: ClassVar[str] = "ocsf"
    summary: ClassVar[str] = "the Open Cybersecurity Schema Framework 1.8.0"
    original: Annotated[
        bool,
        Doc(ORIGINAL, elsewhere="only ecs and ocsf have it"),
    ] = False


def make(settings: Format) -> FactsFormatter:
    """A formatter for the chosen options. Called through ``FORMATS``."""
    options = settings.options
    assert isinstance(options, OcsfOptions)
    return FactsFormatter(_Writer(options), settings.header, tagged=True)


class _Writer:
    def __init__(self, options: OcsfOptions) -> None:
        self._original = options.original
        self._trees = {name: Tree(table) for name, table in TABLES.items()}
        self._tree_of_all = Tree(TABLE_OF_ALL)

    def __call__(self, event: DuoEvent, facts: EventFacts) -> bytes:
        of = class_of(facts)
        document = self._tree(facts)(facts)
        if of is ENTITY_MANAGEMENT:
            objects.add_entity(document, facts, event.stream.api_host)
        _ADD[of.uid](document, facts)
        objects.settle(document)
        if not _is_whole(document, of):
            of = BASE_EVENT
            _unmap(document)
        return encode(self._finished(document, of, event, facts))

    def _tree(self, facts: EventFacts) -> Tree:
        name = "enrollment" if facts.category == "authentication" and facts.action == "enrollment" else facts.category
        return self._trees.get(name, self._tree_of_all)

    def _finished(self, document: dict[str, Any], of: OcsfClass, event: DuoEvent, facts: EventFacts) -> dict[str, Any]:
        document.setdefault("message", facts.title)
        if facts.time_ms is None:
            document["time"] = syslog_header.now_ms()
        document["severity"] = SEVERITY_NAMES[document["severity_id"]]
        stream = event.stream
        metadata = document.setdefault("metadata", {})
        metadata |= {"version": SCHEMA_VERSION, "product": _PRODUCT, "log_name": stream.log_type}
        if stream.api_host:
            metadata["log_source"] = stream.api_host
        document["unmapped"] |= {label: fact for label, fact in facts.further if fact or fact == 0}
        if observed := objects.observables(document):
            document["observables"] = observed
        if self._original:
            document["raw_data"] = event.raw.decode("utf-8", "replace")
        return {**head(of.uid, activity_of(of, facts), facts.action or ""), **document}


def _is_whole(document: dict[str, Any], of: OcsfClass) -> bool:
    if of is DETECTION_FINDING:
        return "uid" in document.get("finding_info", ())
    return all(name in document for name in _REQUIRED.get(of.uid, ()))


def _unmap(document: dict[str, Any]) -> None:
    unmapped = document.setdefault("unmapped", {})
    for name in sorted(document.keys() - _ALWAYS_MAPPED):
        objects.merge(unmapped, {name: document.pop(name)})


def _add_to_log_in(document: dict[str, Any], facts: EventFacts) -> None:
    if facts.category == "authentication":
        objects.add_factor(document, facts)
    else:
        objects.add_log_in_of_administrator(document, facts)
    objects.add_actor(document, facts.actor)
    objects.add_status(document, facts.outcome)


def _add_to_account_change(document: dict[str, Any], facts: EventFacts) -> None:
    if facts.category == "authentication":
        objects.add_factor(document, facts)
    elif facts.category != "offline_enrollment":
        objects.add_person(document, facts)
    objects.add_actor(document, facts.actor)
    objects.add_status(document, facts.outcome)


def _add_to_entity(document: dict[str, Any], facts: EventFacts) -> None:
    objects.add_actor(document, facts.actor)
    objects.add_status(document, facts.outcome)


def _add_to_finding(document: dict[str, Any], facts: EventFacts) -> None:
    objects.add_evidence(document, facts)
    objects.add_status(document, facts.finding.state, of_finding=True)
    document["is_alert"] = facts.finding.state != "processed"


def _add_to_base(document: dict[str, Any], facts: EventFacts) -> None:
    objects.add_actor(document, facts.actor)
    objects.add_status(document, facts.outcome)
    _unmap(document)


_ADD = {
    BASE_EVENT.uid: _add_to_base,
    AUTHENTICATION.uid: _add_to_log_in,
    ACCOUNT_CHANGE.uid: _add_to_account_change,
    ENTITY_MANAGEMENT.uid: _add_to_entity,
    DETECTION_FINDING.uid: _add_to_finding,
}
