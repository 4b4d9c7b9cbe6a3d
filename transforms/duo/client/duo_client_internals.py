"""duo_client's signing without its way of speaking HTTP.

Place in the flow: ``transforms.duo.client.client`` builds on it; nothing else knows ``duo_client``.

Why: duo_client 5.7 signs well, but opens a TLS connection per call, has no total time limit, repeats the same signed request
for a minute on 429, and looks at no more of a name than its DNS form. It has no public way to be given another:
``_make_request`` is the one place where it speaks HTTP, and is replaced.

Contract: made for the version below, which ``setup.py`` pins. ``tests/internals`` fails when duo_client no longer does what is
said above, so that this can go, and when it no longer calls what is replaced.
"""

from __future__ import annotations

import http.client
from typing import Any

import duo_client
from duo_client.client import DEFAULT_CA_CERTS

from transforms.settings import Account

DUO_CLIENT_VERSION = "5.7.0"


class SignedCalls(duo_client.Admin):
    """Signs the calls of one account. How they are sent is said by ``exchange``."""

    def __init__(self, account: Account, *, user_agent: str, timeout_secs: float) -> None:
        super().__init__(
            account.ikey,
            account.skey.resolve(),
            account.api_host,
            ca_certs=account.ca_file,
            user_agent=user_agent,
            timeout=timeout_secs,
            port=account.port,
        )
        self.ca_file: str = account.ca_file or DEFAULT_CA_CERTS
        self.host_and_port: tuple[str, int] = (self.host, self.port or http.client.HTTPS_PORT)

    def exchange(
        self, method: str, uri: str, body: str | None, headers: dict[bytes, bytes]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Sends a signed request once and gives the answer, whatever its status."""
        raise NotImplementedError

    def call(self, method: str, path: str, params: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        """One call, signed now."""
        response, body = self.api_call(method, path, dict(params))
        return response, body

    def _make_request(self, method: str, uri: str, body: str | None, headers: dict[bytes, bytes]) -> Any:
        """What duo_client calls with each signed request."""
        return self.exchange(method, uri, body, headers)
