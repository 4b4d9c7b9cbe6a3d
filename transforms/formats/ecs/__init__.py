"""ECS, the Elastic Common Schema, as Elastic's own package cisco_duo writes it.

Place in the flow: one of ``FORMATS``. The log type says what the row says (``EventFacts``), ``tables`` say in which field,
``tree`` makes the objects.

Contract: see ``transforms.formats`` and ``from_facts``; ``tables`` says what is promised of the fields. A message is one JSON
object. It names its log where Elastic's products select by it: ``event.dataset`` and ``data_stream.dataset`` are
``cisco_duo.auth`` and the like. For those that have the package installed ``json`` is better: its pipelines read Duo's rows.

``@timestamp`` is when it happened, to the millisecond; where a row has no time, when it was written, as in a header: data
streams take no event without one. With ``original`` the row stands in ``event.original``, too, as a text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from transforms.config_keys import Check, Doc, MinLen, Wrong
from transforms.facts import EventFacts
from transforms.formats import syslog_header
from transforms.formats.ecs.kinds import kind_of_action
from transforms.formats.ecs.tables import DATASETS, TABLES, table_of_all, timestamp
from transforms.formats.from_facts import ORIGINAL, FactsFormatter
from transforms.formats.tree import Tree, encode
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions

ECS_VERSION = "9.4.0"

_OBSERVER = {"vendor": "Cisco", "product": "Duo", "type": "mfa"}
_PEOPLE = {"user", "admin"}
_UNKNOWN = "unknown"  # Duo's word
_NAMESPACE = re.compile(r"[a-z0-9_.]{1,100}")


def _wrong_namespace(value: str) -> Wrong | None:
    if not _NAMESPACE.fullmatch(value):
        return Wrong("this is no namespace of a data stream", "Use at most 100 small letters, digits, dots and _.")
    return None


@dataclass(frozen=True, slots=True)
class EcsOptions(FormatOptions):
    """The Elastic Common Schema."""

    name: ClassVar[str] = "ecs"
    summary: ClassVar[str] = "the Elastic Common Schema, as Elastic's package cisco_duo writes it"
    namespace: Annotated[
        str,
        MinLen(1),
        Check(_wrong_namespace),
        Doc("Namespace of the data stream, in data_stream.namespace.", elsewhere="only ecs has a namespace"),
    ] = "default"
    original: Annotated[
        bool,
        Doc(ORIGINAL, elsewhere="only ecs and ocsf have it"),
    ] = False


def make(settings: Format) -> FactsFormatter:
    """A formatter for the chosen options. Called through ``FORMATS``."""
    options = settings.options
    assert isinstance(options, EcsOptions)
    return FactsFormatter(_Writer(options), settings.header, tagged=True)


class _Writer:
    def __init__(self, options: EcsOptions) -> None:
        self._namespace = options.namespace
        self._original = options.original
        self._trees = {category: Tree(table) for category, table in TABLES.items()}

    def __call__(self, event: DuoEvent, facts: EventFacts) -> bytes:
        log_type = event.stream.log_type
        time_ms = syslog_header.now_ms() if facts.time_ms is None else facts.time_ms
        document = {"@timestamp": timestamp(time_ms), **self._tree(facts, log_type)(facts)}
        told = document.setdefault("event", {})
        told |= {"kind": "event", "module": "cisco_duo", "dataset": f"cisco_duo.{DATASETS.get(log_type, log_type)}"}
        _ADD.get(facts.category, _add_nothing)(document, facts)
        if further := {label: fact for label, fact in facts.further if fact or fact == 0}:
            document.setdefault("cisco_duo", {}).setdefault(log_type, {}).update(further)
        if self._original:
            told["original"] = event.raw.decode("utf-8", "replace")
            document["tags"] = ["preserve_original_event"]
        if related := _related(facts):
            document["related"] = related
        document["data_stream"] = {"type": "logs", "dataset": told["dataset"], "namespace": self._namespace}
        document["observer"] = {**_OBSERVER, "hostname": event.stream.api_host} if event.stream.api_host else _OBSERVER
        document["ecs"] = {"version": ECS_VERSION}
        return encode(document)

    def _tree(self, facts: EventFacts, log_type: str) -> Tree:
        category = facts.category
        if category == "trustmonitor" and facts.actor is not facts.target_user:
            category = "trustmonitor by somebody"
        tree = self._trees.get(category)
        if tree is None:
            self._trees[category] = tree = Tree(table_of_all(log_type))
        return tree


def _related(facts: EventFacts) -> dict[str, list[str]]:
    """Every address, person and host that the event names, each once, for whoever looks for one of them in any field."""
    alias = facts.log_in.alias
    named = (
        ("ip", _each_once(facts.src_ip, facts.auth_ip)),
        ("user", _each_once(facts.actor.name, facts.target_user.name, None if alias == _UNKNOWN else alias)),
        ("hosts", _each_once(_source_address(facts) if facts.category == "authentication" else facts.device.hostname)),
    )
    return {name: texts for name, texts in named if texts}


def _source_address(facts: EventFacts) -> str | None:
    return facts.device.hostname or facts.src_ip


def _each_once(*texts: str | None) -> list[str]:
    return list(dict.fromkeys([text for text in texts if text]))


def _add_nothing(document: dict[str, Any], facts: EventFacts) -> None:
    pass


def _add_log_in(document: dict[str, Any], facts: EventFacts) -> None:
    document["event"] |= {"category": ["authentication"], "type": ["info"]}
    if address := _source_address(facts):
        document.setdefault("source", {})["address"] = address
    document["event"].setdefault("outcome", "unknown")


def _add_activity(document: dict[str, Any], facts: EventFacts) -> None:
    document["event"] |= kind_of_action(facts.action or "")
    if facts.actor.type in _PEOPLE and (named := _texts(name=facts.actor.name, id=facts.actor.key)):
        document["user"] = {**named, **document.get("user", {})}


def _add_administrator(document: dict[str, Any], facts: EventFacts) -> None:
    """What Elastic's package takes out of a description."""
    document["event"] |= kind_of_action(facts.action or "")
    if facts.message:
        document["event"]["reason"] = facts.message
    admin = document.get("cisco_duo", {}).get("admin", {})
    told = admin.get("flattened", {})
    admin |= _texts(errors=told.get("Errors"), status=told.get("status"))
    user = document.get("user", {})
    if facts.action == "admin_self_activate":
        user |= _texts(email=facts.log_in.email)
    elif facts.action == "user_update" and (changes := _texts(name=told.get("realname"), email=facts.log_in.email)):
        user["changes"] = changes
    if user:
        document["user"] = user


def _texts(**found: Any) -> dict[str, str]:
    """Those that are there, and are texts."""
    return {name: text for name, text in found.items() if text and isinstance(text, str)}


_ADD = {"authentication": _add_log_in, "activity": _add_activity, "admin": _add_administrator}
