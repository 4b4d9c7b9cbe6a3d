"""What can be chosen of every destination over HTTP.

Place in the flow: ``hec_settings`` and ``generic_settings`` add what is their own; the senders and the configuration read them.
They load no sender.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from transforms.config_keys import Broken, Check, Declared, Doc, Ge, Host, Le, MinLen, Port, Text, Wrong
from transforms.destinations.http.address import Address, address, wrong_url
from transforms.secrets import SecretRef
from transforms.settings import KindSettings, Proxy, Tls

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = {"host", "content-length", "content-encoding", "transfer-encoding", "connection", "proxy-authorization"}
_SECRETS = ("token", "password", "oauth", "secret_headers")
_SECRET_HEADERS = {"authorization", "cookie", "api-key", "x-api-key", "dd-api-key", "x-auth-token"}


def _wrong_header_name(value: str) -> Wrong | None:
    if not _HEADER_NAME.fullmatch(value):
        return Wrong("this is no name of a header", "Write only the name, without a colon.")
    if value.lower() in _OURS:
        return Wrong("this header is set by the program", "Remove it.")
    return None


def wrong_header_value(value: str) -> Wrong | None:
    """What keeps a text from being a header's value."""
    if not value.isascii() or not value.isprintable():
        return Wrong("this holds a character that a header cannot have", "Use ASCII without line breaks.")
    return None


def _wrong_header(value: str) -> Wrong | None:
    name, colon, rest = value.partition(":")
    if not colon or not rest.strip():
        return Wrong("this is no header", "Write NAME: VALUE.")
    if name.strip().lower() in _SECRET_HEADERS:
        return Wrong("the value of this header is a secret", "Give it by secret_headers.")
    return _wrong_header_name(name.strip()) or wrong_header_value(rest)


HeaderValue = Annotated[str, MinLen(1), Check(wrong_header_value)]
PlainHeader = Annotated[str, MinLen(1), Check(_wrong_header)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretHeader(Declared):
    """A header whose value is a secret."""

    name: Annotated[str, MinLen(1), Check(_wrong_header_name), Doc("Its name.", example="X-Api-Key")]
    secret: Annotated[SecretRef, Doc("Its value: env:NAME or file:PATH.", example="env:SIEM_KEY")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyServer(Declared):
    """An HTTP proxy on the way to the SIEM."""

    host: Annotated[Host, Doc("Host name or address of the proxy.", example="proxy.example.com")]
    port: Annotated[Port, Doc("Port of the proxy.", example=3128)]
    user: Annotated[Text | None, Doc("User name, where the proxy asks for one.", example="duologsync")] = None
    password: Annotated[SecretRef | None, Doc("Its password: env:NAME or file:PATH.", example="env:PROXY_PASSWORD")] = None

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        for key, other in (("user", "password"), ("password", "user")):
            if key in given and other not in given:
                yield Broken(other, f"is missing beside {key}", "Give both or none.")

    @property
    def server(self) -> Proxy:
        return Proxy(self.host, self.port, self.user, self.password)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings(KindSettings):
    """What all kinds over HTTP have in common."""

    headers: Annotated[tuple[PlainHeader, ...], Doc("Further headers of each request.", example=["X-Tenant: duo"])] = ()
    secret_headers: Annotated[tuple[SecretHeader, ...], Doc("Further headers whose values are secrets.")] = ()
    tls: Annotated[
        Tls,
        Doc(
            "Certificates of the SIEM, and ours where it asks for one.",
            elsewhere="certificates are for TLS, and the kind is not",
        ),
    ] = field(default_factory=Tls)
    proxy: Annotated[ProxyServer | None, Doc("HTTP proxy on the way to the SIEM.")] = None
    plain_text: Annotated[
        bool, Doc("Send secrets also to an http:// address of another machine, where anybody on the way can read them.")
    ] = False
    gzip: Annotated[bool, Doc("Compress requests.", harmless=True)] = True
    batch_events: Annotated[
        int | None,
        Ge(1),
        Le(10_000),
        Doc("Most events in one request; without it, what suits the receiver.", example=1000, harmless=True),
    ] = None
    batch_bytes: Annotated[
        int | None,
        Ge(1024),
        Le(100_000_000),
        Doc("Most bytes in one request, uncompressed; without it, what suits the receiver.", example=1_000_000, harmless=True),
    ] = None
    connect_timeout_secs: Annotated[
        float, Ge(0.1), Le(600), Doc("Longest time to connect once, with the TLS handshake.", harmless=True)
    ] = 10.0
    request_timeout_secs: Annotated[
        float,
        Ge(1),
        Le(3600),
        Doc(
            "Longest time for a request and its answer. One that takes longer is sent again, although it may have been taken.",
            harmless=True,
        ),
    ] = 60.0

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[Broken]:
        yield from _secret_in_plain_text(given)


def _secret_in_plain_text(given: Mapping[str, Any]) -> Iterator[Broken]:
    if given.get("plain_text") is True:
        return
    if any(key in given for key in _SECRETS) and is_overheard(given.get("url")):
        yield in_plain_text("url")


def in_plain_text(key: str) -> Broken:
    """What is wrong with an address to which a secret would go."""
    return Broken(key, "a secret would be sent in plain text", "Use https://, or say plain_text: true where nobody listens.")


def is_overheard(url: object) -> bool:
    """Whether what is sent to an address leaves this machine in plain text."""
    if not isinstance(url, str) or wrong_url(url) is not None or address(url).secure:
        return False
    host = address(url).host
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def where(url: str | None) -> Address | None:
    """The address that a setting names."""
    return address(url) if url else None
