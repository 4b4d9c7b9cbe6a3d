"""References to secrets, and the one place that turns a reference into a secret.

A reference travels (in the pickled source, in a job request); the secret itself is read on the machine that needs it, in
``setup()`` or later, and is never stored on anything that is pickled, logged or shown.

Contract: ``SecretRef.resolve()`` gives the secret or raises ``SecretUnavailable`` with a text that names the reference and
the fix, never the value.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from transforms.errors import WontHeal

SCHEMES = ("env", "file", "config")


class SecretUnavailable(WontHeal):
    """The place that a reference names holds no secret."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is kept.

    Attributes:
      scheme: ``env`` (an environment variable), ``file`` (the whole content of a file, surrounding blanks stripped) or
        ``config`` (a key in a configuration file that was written with the secret in it, as the incumbent's files are).
      locator: the variable's name; the file's path; or ``PATH#KEY.KEY.0.KEY`` for ``config``.
    """

    scheme: str
    locator: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.locator}"

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
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SecretUnavailable(f"The secret file {path} cannot be read: {reason}.") from None


def _from_config(locator: str) -> str:
    import yaml  # only files with secrets written into them need it on a worker

    path, _, keys = locator.partition("#")
    try:
        node = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        for key in keys.split("."):
            node = node[int(key)] if isinstance(node, list) else node[key]
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        # The cause is left out on purpose: a YAML error quotes the line it stumbled over, and that may be the secret.
        raise SecretUnavailable(f"{keys} cannot be read from {path}. Is the file still there, and readable?") from None
    return str(node).strip()


_RESOLVERS = {"env": _from_env, "file": _from_file, "config": _from_config}
