"""LEEF 2.0, the Log Event Extended Format of IBM QRadar.

Place in the flow: one of ``FORMATS``. The log type says what the row says (``EventFacts``), the tables here say where it goes.

Contract: see ``transforms.formats`` and ``from_facts``. The keys that IBM has named are used for what they mean, and with their
types; docs/formats.md lists those of our own. ``EventID`` and ``cat`` together say what kind of event it is: QRadar maps events
by that pair. ``devTime`` has 13 digits, milliseconds since the epoch, so it needs no ``devTimeFormat``.

LEEF has no escapes. A value cannot end its own attribute, begin another one or begin another line, whoever chose it: the
delimiter, line breaks and TAB become a space, other control characters are dropped, half a surrogate pair becomes U+FFFD, and
``LEEF:`` or ``CEF:`` before a digit gets a space behind it, because some readers look for the last one of a line. Readers cut
an attribute at its first ``=``, so one in a value stays. What is empty then is left out. No value is longer than IBM says, or
else than 4,000 bytes; a cut never parts a code point.

Not written are ``identSrc``, ``identHostName`` and ``identGrpName``: QRadar keeps assets by them, and the address that Duo sees
mostly belongs to a gateway that many hosts share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from transforms.config_keys import Doc
from transforms.facts import EventFacts
from transforms.formats import values
from transforms.formats.from_facts import FactsFormatter
from transforms.formats.version import PRODUCT_VERSION
from transforms.records import DuoEvent
from transforms.settings import Format, FormatOptions

VENDOR = "Cisco"
PRODUCT = "Duo"

_NAME = 255  # IBM's limit for names of users and accounts
_TEXT = 4000  # ours: what QRadar keeps of a message by default
_EVENT_ID = 255

# What a header says of a delimiter, and the delimiter.
_DELIMITERS = {"tab": ("x09", "\t"), "caret": ("^", "^")}

_SURE = _NAME // 4  # so many characters fit everywhere: none has more than four bytes

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]")
_LINE_BREAK_OR_TAB = re.compile("\r\n|[\t\r\n\v\f\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
# Readers that know of escapes all the same make a line break of "\n".
_MESSAGE = re.compile(r"EF:(?=\d)|(?<=\\n)<(?=\d)")


@dataclass(frozen=True, slots=True)
class LeefOptions(FormatOptions):
    """The Log Event Extended Format 2.0."""

    name: ClassVar[str] = "leef"
    summary: ClassVar[str] = "IBM QRadar's Log Event Extended Format 2.0"
    default_header: ClassVar[str] = "rfc5424"
    delimiter: Annotated[
        Literal["tab", "caret"],
        Doc(
            "What stands between two attributes. caret (^) is for ways that change a tab: rsyslog makes #011 of it.",
            elsewhere="only leef has a delimiter",
        ),
    ] = "tab"


class Key(NamedTuple):
    """One attribute and the fact that it holds: its name, the path from ``EventFacts`` on, what makes a text of a fact that is
    none, and how many bytes it may have.
    """

    name: str
    path: str
    text: Callable[[Any], str | None] | None = None
    longest: int = _TEXT


def _epoch_ms(time_ms: int) -> str:
    # QRadar takes 13 digits for milliseconds; in 2001 they had twelve.
    return f"{time_ms:013d}"


_WHAT = (
    Key("devTime", "time_ms", _epoch_ms),
    Key("sev", "severity", str),
    Key("usrName", "actor.name", longest=_NAME),
    Key("src", "src_ip"),
    Key("srcPort", "src_port", str),
    Key("role", "actor.type"),
    Key("resource", "application.name"),
    Key("url", "url"),
    Key("log", "category"),
    Key("action", "action"),
    Key("outcome", "outcome"),
    Key("reason", "reason"),
    Key("message", "message"),
    Key("eventId", "event_id"),
    Key("tenantId", "tenant"),
    Key("userKey", "actor.key"),
)
_TARGET = (
    Key("accountName", "target_user.name", longest=_NAME),
    Key("accountKey", "target_user.key"),
    Key("targetType", "target.type"),
    Key("targetName", "target_thing.name"),
    Key("targetKey", "target_thing.key"),
    Key("targetDetails", "target.details"),
)
_CHANGES = (
    Key("actorDetails", "actor.details"),
    Key("oldTargetName", "old_target.name"),
    Key("oldTargetKey", "old_target.key"),
    Key("oldTargetType", "old_target.type"),
    Key("oldTargetDetails", "old_target.details"),
)
_APPLICATION = (
    Key("applicationKey", "application.key"),
    Key("applicationType", "application.type"),
    Key("destinationName", "application.destination_name"),
)
_ACCESS_DEVICE = (
    Key("hostName", "device.hostname"),
    Key("srcCity", "src_place.city"),
    Key("srcState", "src_place.state"),
    Key("srcCountry", "src_place.country"),
    Key("os", "device.os"),
    Key("osVersion", "device.os_version"),
    Key("browser", "device.browser"),
    Key("browserVersion", "device.browser_version"),
    Key("userAgent", "device.user_agent"),
    Key("epkey", "device.epkey"),
)
_POSTURE = (
    Key("diskEncrypted", "device.is_encryption_enabled", values.truth),
    Key("firewall", "device.is_firewall_enabled", values.truth),
    Key("passwordSet", "device.is_password_set", values.truth),
    Key("securityAgents", "device.security_agents", values.agents),
)
_AUTH_DEVICE = (
    Key("authDevice", "auth_device.name"),
    Key("authDeviceKey", "auth_device.key"),
    Key("authIp", "auth_ip"),
    Key("authPort", "auth_port", str),
    Key("authCity", "auth_place.city"),
    Key("authState", "auth_place.state"),
    Key("authCountry", "auth_place.country"),
)
_LOG_IN = (
    Key("result", "log_in.result"),
    Key("factor", "log_in.factor"),
    Key("rememberedFactor", "log_in.remembered_factor"),
    Key("email", "log_in.email"),
    Key("alias", "log_in.alias"),
    Key("groups", "actor.groups", values.listed),
    Key("outOfDateSoftware", "log_in.ood_software"),
    Key("trustedEndpoint", "log_in.trusted_endpoint_status"),
    Key("trustedSession", "log_in.trusted_session_info", values.session),
    Key("passportSupported", "log_in.passport_assessment", values.passport_supported),
    Key("passportReason", "log_in.passport_assessment", values.passport_reason),
    *(
        Key(f"{name}{fact}", "log_in.adaptive_trust_assessments", values.assessed(assessment, field))
        for name, assessment in (("secureAuth", "more_secure_auth"), ("rememberMe", "remember_me"))
        for fact, field in (
            ("TrustLevel", "trust_level"),
            ("Reason", "reason"),
            ("PolicyEnabled", "policy_enabled"),
            ("PreviewMode", "preview_mode_enabled"),
            ("AttackDetectors", "detected_attack_detectors"),
        )
    ),
    Key("attackDetectors", "log_in.rbfs_triggered_attacks", values.detectors),
    Key("attacks", "log_in.rbfs_triggered_attacks", values.as_json),
)
_TELEPHONY = (
    Key("context", "telephony.context"),
    Key("phone", "telephony.phone"),
    Key("credits", "telephony.credits", str),
    Key("authTxid", "telephony.txid"),
)
_FINDING = (
    Key("state", "finding.state"),
    Key("stateUpdated", "finding.state_updated_ms", str),
    Key("priority", "finding.priority_event", values.truth),
    Key("priorityReasons", "finding.priority_reasons", values.labels),
    Key("priorityKinds", "finding.priority_reasons", values.kinds),
    Key("explanations", "finding.explanations", values.summaries),
    Key("explanationKinds", "finding.explanations", values.kinds),
    Key("triagedAsInteresting", "finding.triaged_as_interesting", values.truth),
    Key("fromCommonNetblock", "finding.from_common_netblock", values.truth),
    Key("fromNewUser", "finding.from_new_user", values.truth),
    Key("lowRiskIp", "finding.low_risk_ip", values.truth),
    Key("bypassEnabled", "finding.bypass_enabled_ms", str),
    Key("authTxid", "finding.log_in_id"),
    Key("authTime", "finding.log_in_ms", str),
    Key("authType", "log_in.event_type"),
    Key("authReason", "log_in.reason"),
)
_ALL_OF_A_LOG_IN = (*_APPLICATION, *_ACCESS_DEVICE, *_POSTURE, *_AUTH_DEVICE, *_LOG_IN)

# In a log-in the user is both, so it is not said twice.
TABLES: dict[str, tuple[Key, ...]] = {
    "authentication": (Key("cat", "log_in.result"), *_WHAT, *_ALL_OF_A_LOG_IN),
    "activity": (Key("cat", "outcome"), *_WHAT, *_TARGET, *_CHANGES, *_APPLICATION, *_ACCESS_DEVICE),
    "telephony": (Key("cat", "telephony.context"), *_WHAT, *_TELEPHONY),
    "trustmonitor": (Key("cat", "finding.state"), *_WHAT, *_TARGET[:2], *_FINDING, *_ALL_OF_A_LOG_IN),
    "admin": (Key("cat", "outcome"), *_WHAT, *_TARGET, *_LOG_IN[:4]),
    "offline_enrollment": (Key("cat", "category"), *_WHAT, *_ACCESS_DEVICE, *_LOG_IN[:2]),
}
_TABLE_OF_ALL = (Key("cat", "category"), *_WHAT, *_TARGET, *_CHANGES, *_ALL_OF_A_LOG_IN)


def make(settings: Format) -> FactsFormatter:
    """A formatter for the chosen options. Called through ``FORMATS``."""
    options = settings.options
    assert isinstance(options, LeefOptions)
    return FactsFormatter(_Writer(*_DELIMITERS[options.delimiter]), settings.header, tagged=False)


class _Writer:
    def __init__(self, delimiter_name: str, delimiter: str) -> None:
        self._delimiter = delimiter
        self._opening = lru_cache(maxsize=1024)(lambda kind: _opening(kind, delimiter_name))
        self._tables = {category: _Attributes(table, delimiter) for category, table in TABLES.items()}
        self._table_of_all = _Attributes(_TABLE_OF_ALL, delimiter)

    def __call__(self, event: DuoEvent, facts: EventFacts) -> bytes:
        attributes = self._tables.get(facts.category)
        if attributes is None:
            attributes = self._table_of_all
        further = [(label, None if fact is None else str(fact)) for label, fact in facts.further]
        return self._written(facts, attributes(facts, [*further, ("apiHost", event.stream.api_host)]))

    def _written(self, facts: EventFacts, attributes: list[str]) -> bytes:
        return (self._opening(facts.event_class) + self._delimiter.join(attributes)).encode()


def _opening(event_class: str, delimiter_name: str) -> str:
    # What the class says besides, such as the result of a log-in, is in "cat".
    event_id = "_".join(event_class.split(".")[:2])[:_EVENT_ID]
    return f"LEEF:2.0|{VENDOR}|{PRODUCT}|{PRODUCT_VERSION}|{event_id}|{delimiter_name}|"


class _Attributes:
    """Writes the attributes of a table."""

    def __init__(self, table: tuple[Key, ...], delimiter: str) -> None:
        self._facts_of = attrgetter(*(key.path for key in table))
        self._made = tuple((number, key.text) for number, key in enumerate(table) if key.text)
        self._names = tuple(f"{key.name}=" for key in table)
        self._longest = {f"{key.name}=": key.longest for key in table}
        self._delimiter = delimiter

    def __call__(self, facts: EventFacts, further: Iterable[tuple[str, str | None]]) -> list[str]:
        texts = [*self._facts_of(facts)]
        for number, text in self._made:
            if texts[number] is not None:
                texts[number] = text(texts[number])
        said = [(name, text) for name, text in zip(self._names, texts, strict=True) if text]
        said += [(f"{_NOT_IN_NAME.sub('_', label)}=", text) for label, text in further if text]
        # To look at all values at once costs half of looking at each.
        if not self._are_tidy(" ".join([text for _, text in said])):
            cleaned = ((name, self._clean(text)) for name, text in said)
            said = [(name, text) for name, text in cleaned if text]
        return [name + (text if len(text) <= _SURE else self._cut(name, text)) for name, text in said]

    def _are_tidy(self, together: str) -> bool:
        return (
            together.isprintable()
            and self._delimiter not in together
            and "EF:" not in together
            and "\\n<" not in together
            and "  " not in together  # a space at the end of one, unless it is the first or the last
            and together[:1] != " "
            and together[-1:] != " "
        )

    def _clean(self, text: str) -> str:
        text = _SURROGATE.sub("\ufffd", _LINE_BREAK_OR_TAB.sub(" ", text)).translate(_CONTROLS)
        return _MESSAGE.sub(r"\g<0> ", text.replace(self._delimiter, " ")).strip(" ")

    def _cut(self, name: str, text: str) -> str:
        longest = self._longest.get(name, _TEXT)
        encoded = text.encode()
        return text if len(encoded) <= longest else encoded[:longest].decode("utf-8", "ignore").rstrip(" ")
