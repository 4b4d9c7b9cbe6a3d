"""Looks at the local files and directories that a Job names.

Place in the flow: the last step of ``load``, and ``check_files`` for a Job from elsewhere.

Contract: nothing is written or created, and no network is used. Findings are at the key that names the file, which
``translate`` finds in the user's dialect. What is kept on another file system (``gs://…``) is not looked at.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from pipelines.config.fields import SKEY_CHARS, wrong_skey
from pipelines.config.problems import Findings, KeyPath
from pipelines.config.systemd import command_inside
from pipelines.config.yaml_file import STDIN
from transforms.events.redaction import LEAST_KEY_CHARS
from transforms.process.plural import counted
from transforms.secrets import SecretRef, SecretUnavailable
from transforms.settings import Job, Tls, parts_of

Translate = Callable[[KeyPath], KeyPath]
_KERNELS = ("/proc", "/sys")
_ALLOW = "Let the user that runs duologsync write to it, or name another."


def _certificates() -> ModuleType:
    """Here, because it needs cryptography, which takes a while to load, and most configurations name no certificate."""
    from pipelines.config import certificates

    return certificates


def inspect(job: Job, findings: Findings, translate: Translate, *, needs_secrets: bool = True) -> None:
    """Adds what is wrong with the files of a Job. ``needs_secrets``: as for ``load``."""
    look = _Look(findings, translate)
    hidden = []
    for path, secret in job.secrets():
        if not look.at_secret(path, secret, needed=needs_secrets):
            hidden.append((path, secret))
    look.tell_hidden(hidden)
    for index, account in enumerate(job.accounts):
        if account.ca_file:
            look.at_ca(("accounts", index, "ca_file"), account.ca_file)
    for path, tls in parts_of(job, Tls):
        look.at_tls(path, tls)
    for index, destination in enumerate(job.destinations):
        for name, place in destination.settings.local_places:
            look.is_the_kernels(("destinations", index, name), Path(place))
    look.at_directory(("storage", "checkpoint_dir"), job.storage.checkpoint_dir)
    look.at_directory(("storage", "dead_letter_dir"), job.storage.dead_letter_dir, needed=False)
    if job.log_file:
        look.at_log_file(("log_file",), Path(job.log_file))


class _Look:
    """One look at the files: adds findings at the keys of the user's dialect."""

    def __init__(self, findings: Findings, translate: Translate) -> None:
        self.findings = findings
        self.translate = translate
        self.culprits: set[Path] = set()  # directories that are told already: what lies inside them fails for the same reason

    def problem(self, key: KeyPath, what: str, fix: str) -> None:
        self.findings.problem(self.translate(key), what, fix)

    def notice(self, key: KeyPath, what: str, fix: str) -> None:
        self.findings.notice(self.translate(key), what, fix)

    def unseen(self, key: KeyPath, what: str, fix: str) -> None:
        self.findings.unseen(self.translate(key), what, fix)

    def at_words(self, key: KeyPath, words: tuple[str, str] | None) -> None:
        if words:
            self.problem(key, *words)

    def at_secret(self, key: KeyPath, secret: SecretRef, *, needed: bool) -> bool:
        """A secret must be there; a secret key has its length. A variable may be set only where the program runs.

        False where it is another unit's credential and needed: those are told together, by ``tell_hidden``.
        """
        if secret.scheme == "gcp" or secret.locator.startswith(f"{STDIN}#"):
            return True  # in another place's keeping: ``check`` asks for it; or read from standard input, and known already
        try:
            value = secret.resolve()
        except SecretUnavailable as error:
            return self.at_missing_secret(key, secret, str(error), needed=needed)
        self.at_value(key, secret, value)
        return True

    def at_missing_secret(self, key: KeyPath, secret: SecretRef, error: str, *, needed: bool) -> bool:
        """One that cannot be read here: whether it was told."""
        if secret.scheme == "env":
            what = f"the environment variable {secret.locator} has no value here"
            self.unseen(key, what, "Set it where duologsync runs.")
            return True
        if secret.credential is not None:
            if needed:
                return False
            unit = secret.credential.unit
            what = f"systemd shows the credential {secret.locator} to {unit} only, so it cannot be seen from here"
            self.unseen(key, what, f"Nothing needs to be done where {unit} has LoadCredential={secret.credential.name}:…")
            return True
        if not needed and not os.access(secret.locator, os.R_OK) and _exists(Path(secret.locator)):
            self.unseen(key, f"this user may not read {secret.locator}", "Let the user that runs duologsync read it.")
            return True
        what, _, fix = error.rstrip(".").partition(". ")
        self.problem(key, what[:1].lower() + what[1:], f"{fix}." if fix else "Check the path and its permissions.")
        return True

    def tell_hidden(self, hidden: list[tuple[KeyPath, SecretRef]]) -> None:
        """Credentials of a systemd unit that a command outside of it needs: how to run it with all of them."""
        for index, (key, secret) in enumerate(hidden):
            assert secret.credential is not None
            what = f"systemd shows the credential {secret.locator} to {secret.credential.unit} only"
            all_of_them = command_inside([each.locator for _, each in hidden])
            self.problem(
                key, what, f"The command for the first has {secret.credential.name}, too." if index else f"Run: {all_of_them}"
            )

    def at_value(self, key: KeyPath, secret: SecretRef, value: str) -> None:
        if key[-1] == "skey" and secret.scheme != "config" and len(value) != SKEY_CHARS:
            what, fix = wrong_skey(len(value))
            self.problem(key, f"{what} in {secret}", fix)
        if key[-2:] == ("redact", "key") and len(value) < LEAST_KEY_CHARS:
            self.problem(
                key,
                f"the key has {counted(len(value), 'character')}",
                f"Use at least {LEAST_KEY_CHARS}: tokens can be guessed.",
            )
        if secret.scheme in {"file", "config"}:
            self.at_secret_file(key, secret)

    def at_secret_file(self, key: KeyPath, secret: SecretRef) -> None:
        path = secret.locator.partition("#")[0] if secret.scheme == "config" else secret.locator
        if _mode(Path(path)) & stat.S_IROTH:
            self.notice(key, f"every user of this machine can read the secret in {path}", f"Run: chmod o-rwx {path}")

    def at_ca(self, key: KeyPath, path: str) -> None:
        wrong = _certificates().wrong_with_ca(path)
        self.at_words(key, wrong)
        lacking = None if wrong else _certificates().lacking_in_ca(path)
        if lacking:
            self.notice(key, *lacking)

    def at_tls(self, key: KeyPath, tls: Tls) -> None:
        if tls.ca_file:
            self.at_ca((*key, "ca_file"), tls.ca_file)
        if not tls.client_cert_file:
            return
        self.at_words((*key, "client_cert_file"), _certificates().wrong_with_client_cert(tls.client_cert_file))
        password = None
        if tls.client_key_password:
            if tls.client_key_password.scheme == "gcp":
                return  # not asked for here
            try:
                password = tls.client_key_password.resolve()
            except SecretUnavailable:
                return  # said already; without the password nothing can be said about the key
        name = "client_key_file" if tls.client_key_file else "client_cert_file"
        key_file = tls.client_key_file or tls.client_cert_file
        self.at_words((*key, name), _certificates().wrong_with_client_key(key_file, tls.client_cert_file, password))

    def at_directory(self, key: KeyPath, text: str, *, needed: bool = True) -> None:
        """A directory that can be written to, or be created by the program when it starts.

        One that is not ``needed`` at once is worth a notice: a disk that is full or read-only for now should stop no service.
        """
        if "://" in text:
            return
        path = Path(text)
        if self.is_the_kernels(key, path):
            return
        if self.can_be_written(key, path, needed=needed) and _mode(path) & stat.S_IWOTH:
            fix = f"Run: chmod 700 {path}, or name another. The program refuses to run on it."
            self.notice(key, f"every user of this machine can write to {path}", fix)

    def is_the_kernels(self, key: KeyPath, path: Path) -> bool:
        """Whether nothing can be kept there, which permissions do not tell to root."""
        top = next((each for each in _KERNELS if path.is_relative_to(each)), None)
        if top is not None and not self.culprits.intersection((path, *path.parents)):
            self.culprits.add(path)
            self.problem(key, f"{path} cannot be kept: {top} is the kernel's, and holds no files", "Name another directory.")
        return top is not None

    def at_log_file(self, key: KeyPath, path: Path) -> None:
        if self.is_the_kernels(key, path):
            return
        if _exists(path):
            if path.is_dir():
                self.problem(key, f"{path} is a directory", "Name a file in it.")
            elif not os.access(path, os.W_OK):
                self.problem(key, f"{path} cannot be written to", _ALLOW)
            return
        if self.can_be_written(key, path.parent) and _mode(path.parent) & stat.S_IWOTH:
            fix = "Name a file in a directory that only this user can write to."
            self.notice(key, f"every user of this machine can write to {path.parent}", fix)

    def can_be_written(self, key: KeyPath, path: Path, *, needed: bool = True) -> bool:
        tell = self.problem if needed else self.notice
        there = path
        while not _exists(there) and there != there.parent:
            there = there.parent
        verb = "written to" if there == path else "created"
        if there in self.culprits:
            return False
        if not there.is_dir():
            self.culprits.add(there)
            tell(key, f"{path} cannot be {verb}: {there} is not a directory", "Name another directory.")
            return False
        if not os.access(there, os.W_OK | os.X_OK):
            self.culprits.add(there)
            cause = "" if there == path else f": {there} cannot be written to"
            tell(key, f"{path} cannot be {verb}{cause}", _ALLOW)
            return False
        return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _mode(path: Path) -> int:
    """The permission bits; none where there is no such file, or where the system has no such bits."""
    if os.name != "posix":
        return 0
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0
