"""How a command is run with the credentials of a systemd unit, which nobody else can see.

Place in the flow: ``files`` tells it where a command needs a secret that only the service is given.

Contract: reads unit files and runs nothing. The line that is made is complete: it can be pasted into a shell as it is.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from transforms.secrets import SecretRef, SystemdCredential

_UNIT_DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
_USER, _SOURCE = "duologsync", "/etc/duologsync/{}"
"""What our own unit says, where the unit cannot be read."""


def command_inside(paths: Sequence[str], words: Sequence[str] | None = None) -> str:
    """The line that runs a command (this one, unless ``words`` says another) in a unit that is given the same credentials."""
    credentials = [found for path in paths if (found := SecretRef("file", path).credential) is not None]
    units = {unit: dict(_settings(unit)) for unit in {each.unit for each in credentials}}
    first = units[credentials[0].unit]
    properties = [f"User={first.get('User', _USER)}", f"StateDirectory={first.get('StateDirectory', _USER)}"]
    properties += dict.fromkeys(f"LoadCredential={_with_source(each, units[each.unit])}" for each in credentials)
    given = [word for each in properties for word in ("-p", each)]
    # A unit begins in /, so paths are written out.
    command = [_absolute(word) for word in (_own_words() if words is None else words)]
    return shlex.join(["sudo", "systemd-run", "--pty", "--wait", "--collect", "--quiet", *given, *command])


def _own_words() -> list[str]:
    """This command as it can be given again."""
    program, *words = sys.argv
    return [sys.executable, "-m", "pipelines", *words] if program.endswith("__main__.py") else [program, *words]


def _with_source(credential: SystemdCredential, settings: dict[str, str]) -> str:
    source = settings.get(f"LoadCredential {credential.name}", _SOURCE.format(credential.name))
    return f"{credential.name}:{source}" if source else credential.name


def _absolute(word: str) -> str:
    path = Path(word)
    return str(path.absolute()) if path.exists() and not word.startswith("-") else word


def _settings(unit: str) -> Iterator[tuple[str, str]]:
    """What the unit's file says that a command beside it needs: user, state directory, and where credentials come from."""
    for line in _lines_of(unit):
        key, _, value = line.strip().partition("=")
        if key in ("LoadCredential", "LoadCredentialEncrypted"):
            name, _, source = value.partition(":")
            yield f"LoadCredential {name}", source
        elif key in ("User", "StateDirectory"):
            yield key, value


def _lines_of(unit: str) -> list[str]:
    for directory in _UNIT_DIRECTORIES:
        try:
            return (Path(directory) / unit).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
    return []
