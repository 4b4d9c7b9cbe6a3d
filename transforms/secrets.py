"""References to secrets, and the one place that turns a reference into a secret.

A reference travels (in the pickled source, in a job request); the secret itself is read on the machine that needs it, in
``setup()`` or later, and is never stored on anything that is pickled, logged or shown.

Contract: ``SecretRef.resolve()`` gives the secret or raises ``SecretUnavailable`` with a text that names the reference and
the fix, never the value; ``RetryLater`` where Secret Manager cannot be asked for now.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from transforms.errors import FatalError, RetryLater
from transforms.process import descriptors

SCHEMES = ("env", "file", "config", "gcp")
GCP_SECRET_VERSION = re.compile(r"projects/[a-z0-9.:-]{1,63}/secrets/[A-Za-z0-9_-]{1,255}/versions/([0-9]+|latest)")
"""The resource name of a secret's version in Google Secret Manager (a version may have an alias, which is not taken)."""
_GCP_TIMEOUT_SECS = 30.0


_SYSTEMD_CREDENTIAL = re.compile(r"/run/credentials/(?P<unit>[^/]+)/(?P<name>[^/]+)")


class SystemdCredential(NamedTuple):
    """A secret that systemd hands to one unit (``LoadCredential=``): nobody else sees its file."""

    unit: str
    name: str


class SecretUnavailable(FatalError):
    """The place that a reference names holds no secret."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is kept.

    Attributes:
      scheme: ``env`` (an environment variable), ``file`` (the whole content of a file, surrounding blanks stripped),
        ``config`` (a key in a configuration file that was written with the secret in it, as the incumbent's files are) or
        ``gcp`` (Google Secret Manager, asked with the credentials that the machine has).
      locator: the variable's name; the file's path; ``PATH#KEY.KEY.0.KEY`` for ``config``; for ``gcp`` the resource name
        ``projects/…/secrets/…/versions/…``.
    """

    scheme: str
    locator: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.locator}"

    @property
    def credential(self) -> SystemdCredential | None:
        """The credential of a systemd unit that it names; None where it names something else."""
        found = _SYSTEMD_CREDENTIAL.fullmatch(self.locator) if self.scheme == "file" else None
        return None if found is None else SystemdCredential(found["unit"], found["name"])

    def resolve(self) -> str:
        """The secret. Raises SecretUnavailable where the reference leads nowhere."""
        secret = _RESOLVERS[self.scheme](self.locator)
        if not secret:
            raise SecretUnavailable(f"{self} is empty. Put the secret there.")
        return secret


def _from_env(name: str) -> str:
    try:
        return os.environ[name].strip()
    except KeyError:
        raise SecretUnavailable(
            f"The environment variable {name} is not set. Set it for the process that runs duologsync."
        ) from None


def _from_file(path: str) -> str:
    try:
        return _place_of(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        if descriptors.ran_out(error):
            raise descriptors.shortage(f"reading the secret file {path}") from None
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretUnavailable(f"The secret file {path} cannot be read: {reason}.") from None


def _place_of(path: str) -> Path:
    """The file itself, or this unit's credential of that name: a command that ``systemd-run`` starts is another unit."""
    found, given = _SYSTEMD_CREDENTIAL.fullmatch(path), os.environ.get("CREDENTIALS_DIRECTORY", "")
    if found is not None and given and not Path(path).exists():
        return Path(given) / found["name"]
    return Path(path)


def _from_config(locator: str) -> str:
    import yaml  # only files with secrets written into them need it on a worker

    path, _, keys = locator.partition("#")
    try:
        node = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        for key in keys.split("."):
            node = node[int(key)] if isinstance(node, list) else node[key]
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError) as error:
        if descriptors.ran_out(error):
            raise descriptors.shortage(f"reading {path}") from None
        # The cause is left out on purpose: a YAML error quotes the line it stumbled over, and that may be the secret.
        raise SecretUnavailable(f"{keys} cannot be read from {path}. Is the file still there, and readable?") from None
    return str(node).strip()


def _from_gcp(name: str) -> str:
    try:
        # Only who installed the extra [gcp] has them, and only who uses the scheme should wait for them to load.
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import secretmanager
    except ImportError:
        raise SecretUnavailable(
            f"The secret gcp:{name} cannot be read: Google's client is not installed. Install the extra [gcp]."
        ) from None
    try:
        # REST, because a client that is used once or twice is not worth gRPC's threads beside the reading.
        client = secretmanager.SecretManagerServiceClient(transport="rest")
        answer = client.access_secret_version(name=name, timeout=_GCP_TIMEOUT_SECS)
        return str(answer.payload.data.decode("utf-8")).strip()
    except (exceptions.ClientError, GoogleAuthError, UnicodeDecodeError) as error:
        if getattr(error, "retryable", False) or isinstance(error, exceptions.TooManyRequests):
            raise _ask_again(name, error) from None
        raise SecretUnavailable(
            f"Secret Manager does not give {name}: {_why(error)}. Check the name, and that the account that duologsync runs as "
            "has the role roles/secretmanager.secretAccessor on it."
        ) from None
    except (exceptions.GoogleAPICallError, exceptions.RetryError, OSError) as error:
        raise _ask_again(name, error) from None


def _ask_again(name: str, error: Exception) -> RetryLater:
    return RetryLater(f"Secret Manager cannot be asked for {name} now: {_why(error)}.", kind="secret_manager")


def _why(error: Exception) -> str:
    """The kind of the error only: Google's texts hold addresses and, for a secret that is not UTF-8, the secret."""
    code = getattr(error, "code", None)
    return f"{type(error).__name__} ({int(code)})" if isinstance(code, int) else type(error).__name__


_RESOLVERS = {"env": _from_env, "file": _from_file, "config": _from_config, "gcp": _from_gcp}
