"""How a destination's search is asked what it has stored: the section ``audit`` of a destination.

Place in the flow: ``duologsync audit`` asks by it; nothing else does. It loads no reader.

A SIEM is mostly sent to at one address and asked at another, with other credentials: so these stand here, and not with the
kind. Give it credentials that can read, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from transforms.config_keys import Broken, Check, Doc, Ge, Le, Text, Wrong
from transforms.destinations.http.address import Url, address
from transforms.destinations.http.settings import PlainHeader, ProxyServer, in_plain_text, is_overheard
from transforms.secrets import SecretRef
from transforms.settings import AuditSettings, Tls

PLACES = ("log_type", "account", "account_id", "api_host", "name")
_PLACE = re.compile(r"\{([a-z_]+)\}")
_PLACES_TOLD = ", ".join(f"{{{place}}}" for place in PLACES)


def _wrong_template(value: str) -> Wrong | None:
    unknown = [place for place in _PLACE.findall(value) if place not in PLACES]
    return Wrong(f"nothing stands for {{{unknown[0]}}}", f"Use {_PLACES_TOLD}.") if unknown else None


Template = Annotated[Text, Check(_wrong_template)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings(AuditSettings):
    """What all searches have in common.

    Attributes:
      authorization: what stands before a token in the header Authorization.
    """

    authorization: ClassVar[str] = "Bearer"
    url: Annotated[
        Url,
        Doc(
            "Address of the search, which is mostly another one than what events are sent to.",
            example="https://siem.example.com:8089",
        ),
    ]
    token: Annotated[SecretRef | None, Doc("Token that may read: env:NAME or file:PATH.", example="env:SIEM_SEARCH_TOKEN")] = (
        None
    )
    user: Annotated[Text | None, Doc("User name, in place of a token.", example="auditor")] = None
    password: Annotated[SecretRef | None, Doc("Its password: env:NAME or file:PATH.", example="env:SEARCH_PASSWORD")] = None
    headers: Annotated[tuple[PlainHeader, ...], Doc("Further headers of each request.", example=["AccountID: 0"])] = ()
    id_field: Annotated[
        Text | None,
        Doc(
            "The field under which the SIEM shows Duo's id of an event. Without it, the id is looked for in the event's text "
            "and under the names that our formats give it.",
            example="duo.txid",
        ),
    ] = None
    margin_secs: Annotated[
        float,
        Ge(0),
        Le(2_678_400),
        Doc("So far around the time of an event it is looked for. More, where the SIEM goes by the time of arrival."),
    ] = 2.0
    tls: Annotated[Tls, Doc("Certificates of the search, and ours where it asks for one.")] = field(default_factory=Tls)
    proxy: Annotated[ProxyServer | None, Doc("HTTP proxy on the way to the search.")] = None
    plain_text: Annotated[
        bool, Doc("Send secrets also to an http:// address of another machine, where anybody on the way can read them.")
    ] = False
    request_timeout_secs: Annotated[float, Ge(1), Le(3600), Doc("Longest time for a question and its answer.")] = 120.0

    @property
    def place(self) -> str:
        return str(address(self.url))

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        if ("user" in given) != ("password" in given):
            there, missing = ("user", "password") if "user" in given else ("password", "user")
            yield Broken(missing, f"is missing beside {there}", "Give both or none.")
        if "token" in given and "user" in given:
            yield Broken("user", "there are other credentials already: token", "Give one of them.")
        has_secret = "token" in given or "password" in given
        if has_secret and given.get("plain_text") is not True and is_overheard(given.get("url")):
            yield in_plain_text("url")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkSearchSettings(SearchSettings):
    """Splunk's search API, on the management port."""

    kind: ClassVar[str] = "splunk"
    query: Annotated[
        Template,
        Doc(
            f"What finds the events, without time and without the word search. {_PLACES_TOLD} stand for those of each log; "
            "{name} is the sourcetype (hec).",
            example="index=duo sourcetype={name}",
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticSearchSettings(SearchSettings):
    """Elasticsearch's search API."""

    kind: ClassVar[str] = "elastic"
    authorization: ClassVar[str] = "ApiKey"
    index: Annotated[
        Template,
        Doc(
            f"Index, data stream or pattern. {_PLACES_TOLD} stand for those of each log; {{name}} is the data stream that the "
            "preset elastic writes to.",
            example="logs-duo.{log_type}-default",
        ),
    ]
    query: Annotated[
        Template | None, Doc("A query string (Lucene) that the events match; the same may stand in it.", example="tags:duo")
    ] = None
    time_field: Annotated[Text, Doc("The field that holds the time of the event.")] = "@timestamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSearchSettings(ElasticSearchSettings):
    """OpenSearch's search API."""

    kind: ClassVar[str] = "opensearch"
    authorization: ClassVar[str] = "Bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsQlSettings(SearchSettings):
    """VictoriaLogs, by LogsQL."""

    kind: ClassVar[str] = "logsql"
    query: Annotated[
        Template,
        Doc(
            f"A filter that finds the events, without time. {_PLACES_TOLD} stand for those of each log; {{name}} is the "
            "sourcetype (hec).",
            example='sourcetype:="{name}"',
        ),
    ] = "*"
