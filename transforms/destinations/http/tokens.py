"""Tokens that are fetched: client credentials (OAuth 2), a managed identity of Azure, and Google's service accounts.

Place in the flow: ``generic`` gives them to ``credentials.Fetched``, which keeps one until it is nearly over.

Contract: tokens are fetched over connections of their own. What asks a machine's own metadata server goes past the proxy. An
error names the place and its status or word; never a secret, and nothing else of what it answered.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

import msgspec

from transforms.destinations.http.address import address, wrong_url
from transforms.destinations.http.connection import Answer, HttpConnection, Request, Unanswered, Way
from transforms.destinations.http.credentials import Fetched, Token
from transforms.destinations.http.generic_settings import GenericSettings, OAuth
from transforms.destinations.http.requests import origin_of, way_of
from transforms.destinations.http.settings import wrong_header_value
from transforms.destinations.http.verdict import word
from transforms.destinations.stream.connection import Watch
from transforms.errors import BadDestination, RetryLater
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.process.retry_after import retry_after_secs
from transforms.secrets import SecretRef
from transforms.settings import Tls

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_AZURE = "http://169.254.169.254"  # the same on every machine of theirs; not routed
_GOOGLE = "http://metadata.google.internal"
_USUAL_LIFE_SECS = 3600.0
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_JWT_LIFE_SECS = 3600


class _Given(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None  # some write it so, and some not at all


class _Refused(msgspec.Struct):
    error: str | None = None


class _Key(msgspec.Struct):
    client_email: str
    private_key: str
    token_uri: str


_read_given = msgspec.json.Decoder(_Given).decode
_read_refused = msgspec.json.Decoder(_Refused).decode
_read_key = msgspec.json.Decoder(_Key).decode


def token_of(settings: GenericSettings, name: str, clock: Clock = SYSTEM_CLOCK) -> Fetched | None:
    """What fetches tokens for a destination; None where it needs none."""
    if settings.oauth is not None:
        return _client_credentials(settings, settings.oauth, name)
    if settings.service_account is not None:
        return _service_account(settings, settings.service_account, name, clock)
    if settings.identity == "azure":
        return _azure_identity(settings, name)
    return _google_identity(name) if settings.identity == "google" else None


def _client_credentials(settings: GenericSettings, oauth: OAuth, name: str) -> Fetched:
    url = oauth.token_url or settings.known.token_url.format(tenant_id=oauth.tenant_id)
    way = replace(way_of(settings), tls=Tls(ca_file=oauth.ca_file))
    place = _Place(name, url, way)
    scope = oauth.scope or (f"{settings.known.scope}/.default" if settings.known.scope else "")

    def fetch(watch: Watch) -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": oauth.client_id,
            "client_secret": oauth.client_secret.resolve(),
            **({"scope": scope} if scope else {}),
        }
        return place.post(form, watch)

    return Fetched(fetch, place.close)


def _azure_identity(settings: GenericSettings, name: str) -> Fetched:
    """Of a virtual machine, or, where the environment says so, of App Service and its kin."""
    own = os.environ.get("IDENTITY_ENDPOINT")
    resource = quote(settings.known.scope, safe="")
    place = _Place(name, own or f"{_AZURE}/metadata/identity/oauth2/token", Way(connect_secs=5.0, answer_secs=30.0))
    target = f"{place.path}?api-version={'2019-08-01' if own else '2018-02-01'}&resource={resource}"
    headers = {"X-IDENTITY-HEADER": os.environ.get("IDENTITY_HEADER", "")} if own else {"Metadata": "true"}
    return Fetched(lambda watch: place.get(target, headers, watch), place.close)


def _google_identity(name: str) -> Fetched:
    place = _Place(name, f"{_GOOGLE}/computeMetadata/v1/instance/service-accounts/default/token", Way(answer_secs=30.0))
    return Fetched(lambda watch: place.get(place.path, {"Metadata-Flavor": "Google"}, watch), place.close)


def _service_account(settings: GenericSettings, secret: SecretRef, name: str, clock: Clock) -> Fetched:
    places: dict[str, _Place] = {}

    def fetch(watch: Watch) -> Token:
        key = _service_account_key(secret)
        if key.token_uri not in places:
            places[key.token_uri] = _Place(name, key.token_uri, replace(way_of(settings), tls=Tls()))
        assertion = _signed(key, settings.known.scope, int(clock.wall_secs()), secret)
        return places[key.token_uri].post({"grant_type": _JWT_GRANT, "assertion": assertion}, watch)

    def close() -> None:
        for place in places.values():
            place.close()

    return Fetched(fetch, close, clock)


def _service_account_key(secret: SecretRef) -> _Key:
    try:
        key = _read_key(secret.resolve().encode())
    except (msgspec.DecodeError, RecursionError):
        key = None
    if key is None or wrong_url(key.token_uri) is not None:
        raise BadDestination(f"{secret} is not the key of a service account. Put the whole JSON file there.")
    return key


def _signed(key: _Key, scope: str, now: int, secret: SecretRef) -> str:
    """The assertion of a service account (RFC 7523), signed by its key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        private = serialization.load_pem_private_key(key.private_key.encode(), None)
    except (ValueError, TypeError):
        private = None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise BadDestination(f"The private key in {secret} cannot be read. Download the key of the service account again.")
    claims = {"iss": key.client_email, "scope": scope, "aud": key.token_uri, "iat": now, "exp": now + _JWT_LIFE_SECS}
    parts = [_base64url(msgspec.json.encode(part)) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
    signed = ".".join(parts)
    return f"{signed}.{_base64url(private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Place:
    """Where tokens are given out."""

    def __init__(self, name: str, url: str, way: Way) -> None:
        self._name = name
        self.path = address(url).path
        self._origin = origin_of(url)
        self._connection = HttpConnection(name, lambda: self._origin, way)

    def post(self, form: Mapping[str, str], watch: Watch) -> Token:
        return self._ask(lambda: Request("POST", self.path, _FORM, urlencode(form).encode()), watch)

    def get(self, target: str, headers: Mapping[str, str], watch: Watch) -> Token:
        return self._ask(lambda: Request("GET", target, headers), watch)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, request: Callable[[], Request], watch: Watch) -> Token:
        try:
            answer = self._connection.call(request(), watch)
        except Unanswered as error:
            raise RetryLater(f"{self._origin} gives no token: {error}", kind="network") from None
        if answer.status != 200:
            raise self._refused(answer)
        try:
            given = _read_given(answer.body)
            lives_secs = float(given.expires_in or _USUAL_LIFE_SECS)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise RetryLater(f"{self._origin} answers, but gives no token", kind="malformed") from None
        if not given.access_token or wrong_header_value(given.access_token) is not None:
            raise RetryLater(f"{self._origin} gives a token that no header can hold", kind="malformed")
        return Token(given.access_token, lives_secs if lives_secs > 0 else _USUAL_LIFE_SECS)

    def _refused(self, answer: Answer) -> BadDestination | RetryLater:
        try:
            said = word(_read_refused(answer.body).error)
        except (msgspec.DecodeError, RecursionError):
            said = ""
        cause = f"{self._origin} gives no token: it answered {answer.status}{said}"
        if answer.status in (400, 401, 403):
            fix = "Check id and secret of the application or account, and that it may have one."
            return BadDestination(f"Destination {self._name}: {cause}. {fix}")
        return RetryLater(cause, kind="server_error", wait_secs=retry_after_secs(answer.headers))
