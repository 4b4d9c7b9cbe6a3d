"""Checks the signature of a request, by our own reading of Duo's rules; nothing of ``duo_client`` is used here.

Place in the flow: the server calls ``verify`` before it looks at anything else of a request.
Contract: names the scheme when the request is signed with the given keys, raises ``DuoError`` as Duo would when it is not.
Accepted are version 2 (HMAC-SHA1 or SHA512 over date, method, host, path, parameters), version 4 (and the SHA512 of the body)
and version 5 (and the SHA512 of the ``X-Duo-`` headers).
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.demo.simulator.answers import DuoError

Params = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it was read from the connection.

    Attributes:
      method: as sent. path: as sent, without the query. query: as sent, behind the question mark.
      headers: names in lower case; of a repeated header the last.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def host(self) -> str:
        """The host that was called: lower case, without port and brackets."""
        host = self.headers.get("host", "").strip().lower()
        if host.startswith("["):
            return host[1:].partition("]")[0]
        return host.partition(":")[0]

    def has_json_body(self) -> bool:
        """Whether the parameters are in a JSON body."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"

    def signed_params(self) -> Params:
        """The parameters that the parameter line of the signature covers."""
        if self.method.upper() not in {"POST", "PUT", "PATCH"}:
            return parse_query(self.query)
        return [] if self.has_json_body() else parse_query(self.body.decode("utf-8", "replace"))


def parse_query(text: str) -> Params:
    """The parameters of a query string; ``+`` and ``%20`` are both a space."""
    return urllib.parse.parse_qsl(text, keep_blank_values=True)


def canonical_params(params: Iterable[tuple[str, str]]) -> str:
    """RFC 3986 percent-encoding, sorted by key and then by value, whatever the order and encoding on the wire were."""
    encoded = sorted((urllib.parse.quote(key, safe="~"), urllib.parse.quote(value, safe="~")) for key, value in params)
    return "&".join(f"{key}={value}" for key, value in encoded)


def x_duo_digest(headers: Mapping[str, str]) -> str:
    """The last line of version 5: SHA512 over name NUL value NUL … of the ``X-Duo-`` headers, sorted by name."""
    parts = [text for name in sorted(headers) if name.startswith("x-duo-") for text in (name, headers[name])]
    return hashlib.sha512("\x00".join(parts).encode()).hexdigest()


def canonical_lines(request: Request, date: str) -> list[str]:
    """The five lines that every version from 2 on begins with."""
    return [date, request.method.upper(), request.host, request.path, canonical_params(request.signed_params())]


def signatures(skey: str, request: Request, date: str) -> dict[str, str]:
    """Every signature that is right for this request, by scheme name."""
    lines = canonical_lines(request, date)
    body_digest = hashlib.sha512(request.body).hexdigest()
    version_2 = "\n".join(lines).encode()
    version_4 = "\n".join([*lines, body_digest]).encode()
    version_5 = "\n".join([*lines, body_digest, x_duo_digest(request.headers)]).encode()
    key = skey.encode()
    right = {
        "v2/sha1": hmac.new(key, version_2, hashlib.sha1).hexdigest(),
        "v2/sha512": hmac.new(key, version_2, hashlib.sha512).hexdigest(),
    }
    # Versions 4 and 5 sign JSON bodies; a form in the body is version 2's.
    if request.method.upper() not in {"POST", "PUT", "PATCH"} or request.has_json_body():
        right["v4/sha512"] = hmac.new(key, version_4, hashlib.sha512).hexdigest()
        right["v5/sha512"] = hmac.new(key, version_5, hashlib.sha512).hexdigest()
    return right


def credentials(request: Request) -> tuple[str, str]:
    """Integration key and signature out of the Authorization header."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not encoded.strip():
        raise DuoError(40101)
    try:
        ikey, colon, signature = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise DuoError(40101) from None
    if not colon or not ikey or not signature:
        raise DuoError(40101)
    return ikey, signature


def signed_date(request: Request, now_secs: float, tolerance_secs: float) -> str:
    """The date text that was signed, once it is known to be near the server's own time."""
    date = request.headers.get("x-duo-date") or request.headers.get("date")
    if not date:
        raise DuoError(40104)
    parsed = email.utils.parsedate_tz(date)
    if parsed is None or abs(email.utils.mktime_tz(parsed) - now_secs) > tolerance_secs:
        raise DuoError(40105)
    return date


def verify(request: Request, ikey: str, skey: str, *, now_secs: float, tolerance_secs: float = 300.0) -> str:
    """The name of the scheme that the request is rightly signed with; raises DuoError when there is none."""
    sent_ikey, sent_signature = credentials(request)
    date = signed_date(request, now_secs, tolerance_secs)
    if not hmac.compare_digest(sent_ikey.encode(), ikey.encode()):
        raise DuoError(40102)
    for scheme, right in signatures(skey, request, date).items():
        if hmac.compare_digest(right.encode(), sent_signature.lower().encode()):
            return scheme
    raise DuoError(40103)
