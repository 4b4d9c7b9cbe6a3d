"""Fairness what the file says about secrets and paths into references and absolute paths.

Place in the flow: ``own`` and ``incumbent`` use it while they build a Job.

Contract: a secret that is written in the file stays there: the Job gets a ``config:`` reference to its key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipelines.config.problems import Findings, KeyPath, dotted
from transforms.secrets import SecretRef


@dataclass(frozen=True)
class Surroundings:
    """What the meaning of a file depends on: where it is, where relative paths begin, and where state is kept by default."""

    file: Path
    base: Path
    state: Path | None

    def path(self, text: str) -> str:
        """An absolute path; a URL of a Beam file system (``gs://…``) as it is."""
        return text if "://" in text else os.path.normpath(self.base / expanded(text))

    def secret(self, value: SecretStr, key: KeyPath, findings: Findings) -> SecretRef:
        """A reference to a secret: as it is given, or to the key in the file that holds it."""
        text = value.get_secret_value().strip()
        scheme, _, locator = text.partition(":")
        if scheme == "env" and locator:
            return SecretRef("env", locator)
        if scheme == "file" and locator:
            return SecretRef("file", self.path(locator.strip()))
        if scheme == "gcp" and locator:
            return SecretRef("gcp", locator.strip())
        if "#" in str(self.file):
            fix = "Rename the file or its directory, or write env:NAME or file:PATH here."
            findings.problem(key, "a secret cannot be read from a file with # in its path", fix)
        return SecretRef("config", f"{self.file}#{dotted(key)}")


def expanded(text: str) -> Path:
    """The path with ``~`` put in; as it is where there is no home directory."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def default_state_dir() -> Path | None:
    """Where state is kept when the file does not say: never a directory that others can write to.

    systemd's ``StateDirectory=`` comes first, then /var/lib for root, then the user's state directory. None without a home.
    """
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given.startswith("/"):
        return Path(given)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/duologsync")
    xdg = os.environ.get("XDG_STATE_HOME", "")
    if xdg.startswith("/"):
        return Path(xdg) / "duologsync"
    try:
        return Path.home() / ".local" / "state" / "duologsync"
    except RuntimeError:
        return None
