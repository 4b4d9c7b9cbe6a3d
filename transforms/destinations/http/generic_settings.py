"""What can be chosen of a receiver over HTTP: any, or one of the presets.

Place in the flow: one of ``transforms.destinations.KINDS``; the sender and the configuration read it. It loads no sender.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from transforms.config_keys import Broken, Check, Declared, Doc, FilePath, Ge, Le, Text, Wrong
from transforms.destinations.http.address import Url, address
from transforms.destinations.http.hec_settings import LogName
from transforms.destinations.http.presets import PLAIN, PRESETS, Preset, Statuses
from transforms.destinations.http.settings import HeaderValue, HttpSettings, in_plain_text, is_overheard
from transforms.secrets import SecretRef

if TYPE_CHECKING:
    PresetName = str
else:
    PresetName = Literal[tuple(PRESETS)]

Status = Annotated[int, Ge(200), Le(599)]
_RULE_ID = re.compile(r"dcr-[0-9a-f]{32}")
_INSTANCE = re.compile(r"projects/[A-Za-z0-9:._-]+/locations/[a-z0-9-]+/instances/[A-Za-z0-9-]+")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_SPECIAL = {key for preset in PRESETS.values() for key in preset.takes}
_BEARERS = ("token", "oauth", "identity", "service_account", "user")


def _like(pattern: re.Pattern[str], what: str, fix: str) -> Check:
    return Check(lambda value: None if pattern.fullmatch(value) else Wrong(what, fix))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedLog(Declared):
    """What the receiver calls one log."""

    log: Annotated[LogName, Doc("The log.", example="auth")]
    name: Annotated[HeaderValue, Doc("Its name there: a stream, an index, a log type, a category.", example="duo-auth")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth(Declared):
    """Client credentials that a token is fetched with."""

    client_id: Annotated[Text, Doc("Id of the application.", example="00000000-0000-0000-0000-000000000000")]
    client_secret: Annotated[SecretRef, Doc("Its secret: env:NAME or file:PATH.", example="env:CLIENT_SECRET")]
    tenant_id: Annotated[
        Annotated[str, _like(_SEGMENT, "this is no tenant", "Write its id or its domain.")] | None,
        Doc("Tenant of Microsoft Entra, in place of token_url.", example="contoso.example.com"),
    ] = None
    token_url: Annotated[Url | None, Doc("Where tokens are given out.", example="https://login.example.com/oauth2/token")] = (
        None
    )
    scope: Annotated[Text | None, Doc("What the token is for; without it, what the preset needs.", example="logs.write")] = None
    ca_file: Annotated[FilePath | None, Doc("CA file (PEM) of where tokens are given out.", example="/etc/ca.pem")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenericSettings(HttpSettings):
    """Any receiver that takes POST requests, or one of the presets, which know more of theirs."""

    kind: ClassVar[str] = "http"
    preset: Annotated[
        PresetName | None,
        Doc(f"What the receiver is, where it is one of {', '.join(PRESETS)}; see docs/destinations.md.", example="sentinel"),
    ] = None
    url: Annotated[
        Url | None,
        Doc("Its address; with a preset, without the path that the preset adds.", example="https://siem.example.com"),
    ] = None
    secret_url: Annotated[
        SecretRef | None, Doc("In place of url, where the address is itself the secret: env:NAME or file:PATH.")
    ] = None
    body: Annotated[
        Literal["lines", "array", "single", "bulk", "documents"] | None,
        Doc(
            "How events stand in a request: lines (one each), array (of JSON), single (one event in one request); with preset "
            "elastic, bulk (the event as a text in message) or documents (the event is the document, as format ecs writes it)."
        ),
    ] = None
    content_type: Annotated[HeaderValue | None, Doc("Content-Type, where the usual one does not fit.")] = None
    token: Annotated[
        SecretRef | None,
        Doc("Token or API key: env:NAME or file:PATH. Without a preset, it is a bearer token.", example="env:SIEM_TOKEN"),
    ] = None
    user: Annotated[Text | None, Doc("User name, where the receiver asks for one.", example="duologsync")] = None
    password: Annotated[SecretRef | None, Doc("Its password: env:NAME or file:PATH.", example="env:SIEM_PASSWORD")] = None
    oauth: Annotated[OAuth | None, Doc("Client credentials, where the receiver wants a token that they give.")] = None
    identity: Annotated[
        Literal["azure", "google"] | None,
        Doc("The token of the machine: a managed identity of Azure, or the service account of a machine of Google's."),
    ] = None
    service_account: Annotated[
        SecretRef | None, Doc("Key of a service account of Google's (JSON): env:NAME, file:PATH or gcp:NAME.")
    ] = None
    logs: Annotated[
        tuple[NamedLog, ...], Doc("What the receiver calls single logs, where that is not what a preset says.")
    ] = ()
    rule_id: Annotated[
        Annotated[str, _like(_RULE_ID, "this is no immutable id of a rule", "Write dcr- and 32 digits.")] | None,
        Doc("Immutable id of the data collection rule (sentinel).", example="dcr-00000000000000000000000000000000"),
    ] = None
    namespace: Annotated[
        Annotated[str, _like(_SEGMENT, "this is no namespace", "Use letters, digits, dots and underscores.")],
        Doc("Namespace of the data streams (elastic)."),
    ] = "default"
    tags: Annotated[tuple[HeaderValue, ...], Doc("Tags of each event (datadog).", example=["env:prod"])] = ()
    instance: Annotated[
        Annotated[str, _like(_INSTANCE, "this is no instance", "Write projects/P/locations/L/instances/I.")] | None,
        Doc("The instance (secops).", example="projects/p/locations/eu/instances/00000000-0000-0000-0000-000000000000"),
    ] = None
    forwarder: Annotated[
        Annotated[str, _like(_SEGMENT, "this is no id of a forwarder", "Write the id alone.")] | None,
        Doc("Id of the forwarder that the logs are filed under (secops).", example="00000000-0000-0000-0000-000000000000"),
    ] = None
    too_old: Annotated[
        Literal["dead_letter", "send"],
        Doc(
            "What becomes of an event that is older than the receiver takes (datadog: 18 hours, dynatrace: 24): dead_letter "
            "keeps it, send sends it all the same."
        ),
    ] = "dead_letter"
    delivered_statuses: Annotated[
        tuple[Status, ...], Doc("Statuses that mean delivered; without it, 200, 201, 202 and 204.", example=[200])
    ] = ()
    rejected_statuses: Annotated[
        tuple[Status, ...],
        Doc("Statuses that mean that an event can never be taken; without it, 400 and 422.", example=[400, 422]),
    ] = ()
    retry_statuses: Annotated[
        tuple[Status, ...],
        Doc("Statuses that mean not now; without it, 408, 425, 429 and all from 500 on.", example=[429, 503]),
    ] = ()

    @property
    def known(self) -> Preset:
        """What is known of the receiver."""
        return PRESETS[self.preset] if self.preset is not None else PLAIN

    @property
    def statuses(self) -> Statuses:
        """What statuses mean."""
        usual = self.known.statuses
        given = (self.delivered_statuses, self.rejected_statuses, self.retry_statuses)
        delivered, rejected, later = (frozenset(each) for each in given)
        return Statuses(
            delivered or usual.delivered - rejected - later,
            rejected or usual.rejected - delivered - later,
            later or usual.later - delivered - rejected,
        )

    @property
    def place(self) -> str:
        return str(address(self.url)) if self.url else f"{self.preset or 'the address'} in {self.secret_url}"

    @property
    def refused_age_secs(self) -> float | None:
        return None if self.too_old == "send" else self.known.longest_age_secs

    @property
    def takes_bare_rows(self) -> bool:
        return self.known.bare

    def name_of(self, log: str) -> str:
        """What the receiver calls a log; "" where it has no name for it."""
        own = next((each.name for each in self.logs if each.log == log), None)
        return own or self.known.names.get(log, self.known.other_names).format(log=log, namespace=self.namespace)

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        yield from HttpSettings.broken_rules(given)
        word = given.get("preset")
        preset = PRESETS.get(word) if isinstance(word, str) else None
        yield from _missing(preset or PLAIN, word if preset else None, given)
        if "url" in given and "secret_url" in given:
            yield Broken("secret_url", "the address is given twice", "Give one of the two.")
        if ("user" in given) != ("password" in given):
            there, missing = ("user", "password") if "user" in given else ("password", "user")
            yield Broken(missing, f"is missing beside {there}", "Give both or none.")
        bearers = [key for key in _BEARERS if key in given]
        if len(bearers) > 1:
            yield Broken(bearers[1], f"there are other credentials already: {bearers[0]}", "Give one of them.")
        if preset is not None:
            yield from _unfit(preset, str(word), given)
        yield from _oauth(preset, given.get("oauth"))
        oauth = given.get("oauth")
        if isinstance(oauth, dict) and given.get("plain_text") is not True and is_overheard(oauth.get("token_url")):
            yield in_plain_text("oauth")


def _missing(preset: Preset, word: str | None, given: Mapping[str, Any]) -> Iterator[Broken]:
    for need in preset.needs:
        keys = need.split("|")
        if not any(key in given for key in keys):
            what = f"preset {word} needs it" if word else "the receiver's address is missing"
            yield Broken(keys[0], what, f"Add {' or '.join(keys)}.")


def _unfit(preset: Preset, word: str, given: Mapping[str, Any]) -> Iterator[Broken]:
    for key in given:
        if key in _SPECIAL and key not in (*preset.takes, "url"):
            yield Broken(key, f"preset {word} has no use for it", "Remove it.")
    if "content_type" in given:
        yield Broken("content_type", f"preset {word} sets it", "Remove it.")
    written = given.get("format")
    name = written.get("name") if isinstance(written, dict) else written
    if preset.bare and isinstance(written, dict) and (written.get("envelope") or written.get("header") not in (None, "none")):
        yield Broken("format", f"preset {word} wants Duo's rows as they are", "Write format: json.")
    if word == "sentinel" and isinstance(name, str) and name != "json":
        yield Broken("format", "preset sentinel takes JSON only", "Write format: json.")


def _oauth(preset: Preset | None, given: Any) -> Iterator[Broken]:
    if not isinstance(given, dict):
        return
    if preset is not None and preset.token_url:
        if "tenant_id" not in given and "token_url" not in given:
            yield Broken("oauth", "the tenant is missing", "Add oauth.tenant_id.")
    elif "token_url" not in given:
        yield Broken("oauth", "where tokens are given out is missing", "Add oauth.token_url.")
