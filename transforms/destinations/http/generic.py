"""Any receiver over HTTP, and those of which a preset knows more: their requests, and what their answers mean.

Place in the flow: one of the kinds; ``sender`` delivers, this is the dialect.

Delivered means: the status is one that says so, by the preset or the user. What the receiver does with events after that answer
is not known to anybody here; ``docs/destinations.md`` says of each preset what its answer is worth. An answer that is none
of the receiver's own (a page of a proxy, say) is no delivery where the preset can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

from transforms.destinations.http.address import address, wrong_url
from transforms.destinations.http.answers import READERS, by_status
from transforms.destinations.http.bodies import BODIES
from transforms.destinations.http.connection import Answer, HttpConnection, Request
from transforms.destinations.http.credentials import Both, Credentials, Fixed, basic, in_header
from transforms.destinations.http.dialect import Outgoing
from transforms.destinations.http.generic_settings import GenericSettings
from transforms.destinations.http.requests import compressed, origin_of, plain_headers, secret_headers, way_of
from transforms.destinations.http.sender import HttpSender
from transforms.destinations.http.settings import is_overheard
from transforms.destinations.http.tokens import token_of
from transforms.destinations.http.tuning import Tuning
from transforms.destinations.http.verdict import DELIVERED, Fate, Verdict
from transforms.destinations.stream.connection import Watch
from transforms.errors import FatalError, RetryLater, Undeliverable
from transforms.records import Stream
from transforms.secrets import SecretUnavailable
from transforms.settings import Destination

_SAFE = "/:@!$&'()*+,;=-._~"


def make(destination: Destination[GenericSettings], tuning: Tuning | None = None) -> HttpSender:
    """A sender that connects when the first request is made."""
    settings = destination.settings
    connection = HttpConnection(destination.name, lambda: origin_of(url_of(settings)), way_of(settings))
    return HttpSender(destination, GenericDialect(settings, destination.name), connection, tuning or Tuning())


def url_of(settings: GenericSettings) -> str:
    """The receiver's address. Raises SecretUnavailable where that is one and cannot be had."""
    if settings.url is not None:
        return settings.url
    assert settings.secret_url is not None
    url = settings.secret_url.resolve()
    if wrong_url(url) is not None:
        raise SecretUnavailable(f"{settings.secret_url} holds no address. Put the whole of it there, with https://.")
    if is_overheard(url) and not settings.plain_text:
        raise SecretUnavailable(
            f"{settings.secret_url} holds an address of http://, to which it would be sent in plain text. Use https://, or say "
            "plain_text: true where nobody listens."
        )
    return url


class GenericDialect:
    """A ``Dialect``."""

    def __init__(self, settings: GenericSettings, name: str) -> None:
        preset = settings.known
        body = settings.body or preset.body
        self.most_events = 1 if body == "single" else min(settings.batch_events or preset.most_events, 10_000)
        self.most_bytes = settings.batch_bytes or preset.most_bytes
        self.most_event_bytes = preset.most_event_bytes
        self._settings = settings
        self._preset = preset
        self._url: str | None = None  # once it is known
        self._body = BODIES[body](settings)
        self._read = READERS[preset.reader]
        self._plain = plain_headers(settings)
        self._credentials = _credentials(settings, name)

    def piece(self, event: Outgoing) -> bytes:
        if "{name}" in self._preset.target and not self._settings.name_of(event.stream.log_type):
            raise Undeliverable(f"The receiver has no name for the log {event.stream.log_type}: give logs.", reason="no_name")
        return self._body.piece(event)

    def request(self, stream: Stream, pieces: Sequence[bytes], watch: Watch) -> Request:
        name = self._settings.name_of(stream.log_type)
        headers = {"Content-Type": self._body.content_type, **self._headers(watch)}
        for header, template in self._preset.headers.items():
            if value := template.format(name=name):
                headers[header] = value
        body = self._body.join(stream, pieces)
        if self._settings.gzip:
            body = compressed(body, headers)
        return Request("POST", self._target(self._preset.target, name), headers, body)

    def _headers(self, watch: Watch) -> dict[str, str]:
        return {**self._plain, **self._credentials.headers(watch)}

    def _target(self, template: str, name: str) -> str:
        parts = {"name": quote(name, safe=_SAFE), "rule_id": self._settings.rule_id, "instance": self._settings.instance}
        self._url = self._url or url_of(self._settings)
        path, _, query = address(self._url).path.partition("?")
        further, _, more = template.format(**parts).partition("?")
        whole = "&".join(part for part in (query, more) if part)
        return f"{path}{further}" + (f"?{whole}" if whole else "") or "/"

    def judge(self, answer: Answer, count: int) -> Verdict:
        return self._read(self._settings, answer, count)

    def renew(self) -> bool:
        before, self._url = self._url, None
        renewed = self._credentials.renew()
        try:
            self._url = url_of(self._settings)
        except (FatalError, RetryLater):  # told by the next request, which needs it
            return renewed
        return renewed or self._url != before

    def acks(self, ack_ids: Sequence[int], watch: Watch) -> Request | None:  # noqa: ARG002  # answers are final
        return None

    def acknowledged(self, answer: Answer, ack_ids: Sequence[int]) -> frozenset[int] | None:  # noqa: ARG002
        return None

    def probe(self, watch: Watch) -> Request | None:
        headers = self._headers(watch)  # a token that cannot be fetched is told here
        if self._preset.probe is None:
            return None
        method, target, body = self._preset.probe
        headers["Content-Type"] = self._body.content_type
        headers["Content-Length"] = str(len(body))
        return Request(method, self._target(target, ""), headers, body)

    def judge_probe(self, answer: Answer) -> Verdict:
        verdict = by_status(self._settings, answer, 0)
        return DELIVERED if verdict.fate is Fate.REFUSED else verdict

    def begin(self) -> None:
        """Nothing is left of a bundle before."""

    def close(self) -> None:
        self._credentials.close()


def _credentials(settings: GenericSettings, name: str) -> Credentials:
    fixed = secret_headers(settings)
    if settings.token is not None:
        header, before = settings.known.token_header
        fixed[header] = partial(in_header, settings.token, before)
    if settings.user is not None and settings.password is not None:
        fixed["Authorization"] = partial(basic, settings.user, settings.password)
    fetched = token_of(settings, name)
    return Fixed(fixed) if fetched is None else Both([Fixed(fixed), fetched])
