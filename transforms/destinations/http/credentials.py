"""Headers with secrets: tokens as they are kept, and such as are fetched and expire.

Place in the flow: dialects ask for them with each request.

Contract: secrets are resolved on the worker, when the first request is made, and nothing of them is in an error, a log line or
a pickle. ``renew`` is asked where a receiver does not take them: a secret that was changed where it is kept, or a token that
was revoked, is found then. A token is fetched anew once four fifths of its life are over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from transforms.destinations.http.settings import wrong_header_value
from transforms.destinations.stream.connection import Watch
from transforms.errors import FatalError, RetryLater
from transforms.process.clock import SYSTEM_CLOCK, Clock
from transforms.secrets import SecretRef, SecretUnavailable

_SHARE_OF_LIFE = 0.8


class Credentials(Protocol):
    """See the module."""

    def headers(self, watch: Watch) -> Mapping[str, str]:
        """For one request. Raises FatalError, or RetryLater where they cannot be had now."""
        ...

    def renew(self) -> bool:
        """Whether there may be others than were used last."""
        ...

    def close(self) -> None:
        """Nothing is asked for a while."""
        ...


class Fixed:
    """Secrets as they are kept: by the name of a header, what reads its value."""

    def __init__(self, headers: Mapping[str, Callable[[], str]]) -> None:
        self._headers = headers
        self._values: dict[str, str] | None = None

    def headers(self, watch: Watch) -> Mapping[str, str]:  # noqa: ARG002  # read at once
        if self._values is None:
            self._values = self._resolved()
        return self._values

    def renew(self) -> bool:
        before, self._values = self._values, None
        try:
            self._values = self._resolved()
        except (FatalError, RetryLater):  # told by the next request, which needs them
            return False
        return self._values != before

    def close(self) -> None:
        """Nothing is open."""

    def _resolved(self) -> dict[str, str]:
        return {name: read() for name, read in self._headers.items()}


class Token(NamedTuple):
    """``lives_secs``: from now on."""

    value: str
    lives_secs: float


class Fetched:
    """A bearer token that somebody gives out."""

    def __init__(self, fetch: Callable[[Watch], Token], close: Callable[[], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._fetch = fetch
        self._close = close
        self._clock = clock
        self._token = ""
        self._until_secs = 0.0  # monotonic

    def headers(self, watch: Watch) -> Mapping[str, str]:
        if not self._token or self._clock.monotonic_secs() >= self._until_secs:
            token = self._fetch(watch)
            self._token = token.value
            self._until_secs = self._clock.monotonic_secs() + token.lives_secs * _SHARE_OF_LIFE
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        self._token = ""
        return True

    def close(self) -> None:
        self._close()


class Both:
    """Several of them."""

    def __init__(self, parts: Sequence[Credentials]) -> None:
        self._parts = parts

    def headers(self, watch: Watch) -> Mapping[str, str]:
        return {name: value for part in self._parts for name, value in part.headers(watch).items()}

    def renew(self) -> bool:
        renewed = [part.renew() for part in self._parts]  # each, also where the first one was
        return any(renewed)

    def close(self) -> None:
        for part in self._parts:
            part.close()


def in_header(secret: SecretRef, before: str = "") -> str:
    """A secret that can stand in a header, and what is before it. Raises SecretUnavailable."""
    value = secret.resolve()
    if wrong_header_value(value) is not None:
        # http.client would refuse it, too, and quote it.
        raise SecretUnavailable(f"{secret} holds a character that no HTTP header can have. Put only the token there.")
    return before + value


def basic(user: str, password: SecretRef) -> str:
    """User and password as a header has them. Raises SecretUnavailable."""
    return "Basic " + base64.b64encode(f"{user}:{password.resolve()}".encode()).decode()
