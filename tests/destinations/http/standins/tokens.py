"""Where tokens are given out: client credentials as Microsoft Entra takes them, and a service account's signed assertion as
Google does, whose signature is verified.
"""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.destinations.http.standins.server import Asked, Reply

CLIENT_ID, CLIENT_SECRET, TENANT = "client-1", "s3cret~client", "tenant-1"


class Tokens:
    """See the module.

    Attributes:
      valid: the tokens that are taken now. given: how many were given out.
      scope: what a token must be asked for.
    """

    def __init__(self, scope: str, lives_secs: int = 3600) -> None:
        self.scope = scope
        self.lives_secs = lives_secs
        self.valid: set[str] = set()
        self.given = 0
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def service_account(self, token_uri: str) -> dict[str, str]:
        """The file that Google gives for a service account."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        return {
            "type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": pem,
            "client_email": "duologsync@p.example.com", "client_id": "1", "token_uri": token_uri,
        }  # fmt: skip

    def answer(self, asked: Asked) -> Reply:
        form = {key: values[-1] for key, values in parse_qs(asked.body.decode()).items()}
        grant = form.get("grant_type")
        if grant == "client_credentials":
            return self._of_client(form)
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._of_assertion(form.get("assertion", ""))
        return refused(400, "unsupported_grant_type")

    def _of_client(self, form: dict[str, str]) -> Reply:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return refused(401, "invalid_client")
        return self._give() if form.get("scope") == self.scope else refused(400, "invalid_scope")

    def _of_assertion(self, assertion: str) -> Reply:
        signed, _, signature = assertion.rpartition(".")
        self.key.public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(signed.split(".")[1]))
        if not claims["iat"] - 60 <= time.time() <= claims["exp"] or claims["iss"] != "duologsync@p.example.com":
            return refused(400, "invalid_grant")
        return self._give() if self.scope in claims["scope"].split() else refused(400, "invalid_scope")

    def _give(self) -> Reply:
        self.given += 1
        token = f"token-{self.given}"
        self.valid.add(token)
        said = {"access_token": token, "token_type": "Bearer", "expires_in": self.lives_secs}
        return Reply(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def takes(self, asked: Asked) -> bool:
        """Whether a request has a token that is valid."""
        kind, _, token = asked.headers.get("authorization", "").partition(" ")
        return kind == "Bearer" and token in self.valid


def refused(status: int, error: str) -> Reply:
    return Reply(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json"})


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
