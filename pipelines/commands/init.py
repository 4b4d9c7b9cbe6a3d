"""``duologsync init [FILE]``: asks for what a configuration needs, and writes one that ``check`` can try at once.

On a terminal it asks, and each answer is checked as soon as it is given; flags answer beforehand. With ``--yes`` it asks
nothing. It never writes over a file, and never writes a secret into the configuration: only where the secret is kept.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines import exit_codes
from pipelines.config.fields import SKEY_CHARS, wrong_skey
from pipelines.config.interview import Interview, Wrong, path_of
from pipelines.config.problems import KeyPath, dotted
from pipelines.config.systemd import command_inside
from pipelines.printable import say
from transforms.destinations import KINDS
from transforms.destinations.http.presets import PRESETS
from transforms.duo.log_types import DEFAULT_LOG_TYPES, LOG_TYPES
from transforms.formats import FORMATS

_ACCOUNT, _SIEM = ("accounts", 0), ("destinations", 0)
_CREDENTIAL = "file:/run/credentials/duologsync.service/skey"
_SKEY_OF_UNIT = Path("/etc/duologsync/skey")
_STORAGES = ("env", "file", "systemd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, default=Path("config.yml"), help="the new file (config.yml)"
    )
    parser.add_argument("--api-host", metavar="HOST", help="API hostname of the application in Duo's Admin Panel")
    parser.add_argument("--ikey", help="its integration key")
    parser.add_argument(
        "--skey",
        metavar="WHERE",
        help="where its secret key is kept: env:NAME, file:PATH, or systemd (a credential)",
    )
    parser.add_argument("--kind", choices=tuple(KINDS), help="what the SIEM is spoken to with")
    parser.add_argument("--host", help="the SIEM's host name or address")
    parser.add_argument("--port", help="the SIEM's port")
    parser.add_argument("--format", choices=tuple(FORMATS), help="how events are written (json)")
    parser.add_argument("--log-types", metavar="A,B", help=f"the logs to read ({','.join(DEFAULT_LOG_TYPES)})")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any other key, such as destinations.0.url=…",
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: what is not given has its default")
    parser.add_argument("--check", action="store_true", help="try the new configuration at once, as check does")


def run(arguments: argparse.Namespace) -> int:
    """Asks, writes, and tries."""
    path: Path = arguments.file
    if os.path.lexists(path):
        say(f"{path} is there already, and is not written over. Name another file.", to=sys.stderr)
        return exit_codes.CONFIG
    asks = not arguments.yes
    if asks and not sys.stdin.isatty():
        say("init asks questions on a terminal. Without one, give the answers as flags, and --yes.", to=sys.stderr)
        return exit_codes.CONFIG
    interview = Interview()
    if not _take_flags(interview, arguments):
        return exit_codes.CONFIG
    if asks and not _answered(interview, path):
        return exit_codes.CONFIG
    if problems := interview.problems():
        for problem in problems:
            say(f"{problem.key}: {problem.what}. {problem.fix}", to=sys.stderr)
        say(f"Nothing was written: answer with flags, or --set {problems[0].key or 'KEY'}=VALUE.", to=sys.stderr)
        return exit_codes.CONFIG
    if not _written(path, interview.text()):
        return exit_codes.CONFIG
    return _onward(path, interview, arguments, asks=asks)


def _answered(interview: Interview, path: Path) -> bool:
    try:
        _Asking(interview, path).ask_all()
    except (EOFError, KeyboardInterrupt):
        say()
        say("Nothing was written.", to=sys.stderr)
        return False
    return True


def _take_flags(interview: Interview, arguments: argparse.Namespace) -> bool:
    """Answers that were given as flags; False where one is wrong, after all of them were told."""
    good = True
    for text in sorted(arguments.set, key=lambda each: "kind=" not in each):
        key, equals, value = text.partition("=")
        good &= bool(equals) and _takes(interview, path_of(key), value)
    skey = _CREDENTIAL if arguments.skey == "systemd" else arguments.skey
    given: list[tuple[KeyPath, str | None]] = [
        ((*_ACCOUNT, "api_host"), arguments.api_host),
        ((*_ACCOUNT, "ikey"), arguments.ikey),
        ((*_ACCOUNT, "skey"), skey),
        ((*_SIEM, "kind"), arguments.kind),
        ((*_SIEM, "host"), arguments.host),
        ((*_SIEM, "port"), arguments.port),
        (
            (*_SIEM, "format"),
            arguments.format or ("json" if arguments.yes and not interview.given((*_SIEM, "format")) else None),
        ),
    ]
    for key, value in given:
        if value is not None:
            good &= _takes(interview, key, value)
    if arguments.yes and interview.given((*_SIEM, "format")) is None:
        interview.answer((*_SIEM, "format"), "json")
    if arguments.log_types:
        good &= _take_logs(interview, arguments.log_types) is None
    return good


def _takes(interview: Interview, key: KeyPath, value: str) -> bool:
    wrong = interview.answer(key, value)
    if wrong is not None:
        say(f"{dotted(key)}: {wrong}", to=sys.stderr)
    return wrong is None


def _take_logs(interview: Interview, text: str) -> Wrong | None:
    """Which logs are read; all usual ones need no route."""
    logs = [name.strip() for name in text.split(",") if name.strip()]
    if set(logs) == set(DEFAULT_LOG_TYPES):
        return None
    interview.data["routes"] = [{"log_types": logs, "destinations": ["siem"]}]
    wrong = [each for each in interview.problems() if each.key.startswith("routes")]
    if not wrong:
        return None
    del interview.data["routes"]
    say(f"{wrong[0].what}. {wrong[0].fix}", to=sys.stderr)
    return Wrong(wrong[0].what, wrong[0].fix)


def _written(path: Path, text: str) -> bool:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        say(f"{path} cannot be written: {error.strerror}.", to=sys.stderr)
        return False
    say(f"Written: {path}")
    return True


def _onward(path: Path, interview: Interview, arguments: argparse.Namespace, *, asks: bool) -> int:
    """What comes next; tries the configuration where that is wanted and can be done here."""
    skey = str(interview.given((*_ACCOUNT, "skey")))
    if skey == _CREDENTIAL:
        say(f"The secret key goes to {_SKEY_OF_UNIT}, mode 600, owner root. To try the configuration with it:")
        say(command_inside([skey.removeprefix("file:")], [sys.argv[0], "check", str(path)]))
        return exit_codes.OK
    is_unset = skey.startswith("env:") and skey.removeprefix("env:") not in os.environ
    if is_unset:
        say(f"The secret key goes into the environment variable {skey.removeprefix('env:')}, where duologsync runs.")
    if arguments.check or (asks and not is_unset and _yes("Try it now, with Duo and the SIEM?")):
        from pipelines.commands import check  # needs Beam, which the questions do not

        return check.run(argparse.Namespace(config=path, send_test_event=False, json=False))
    say(f"Next: duologsync check {path}, then: duologsync {path}")
    return exit_codes.OK


def _yes(question: str) -> bool:
    return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")


class _Asking:
    """The questions, on a terminal."""

    def __init__(self, interview: Interview, path: Path) -> None:
        self._interview = interview
        self._path = path

    def ask_all(self) -> None:
        """Asks for all that flags have not answered."""
        say("Duo: an application of type Admin API with the permission 'Grant read log', in the Admin Panel.")
        self._ask((*_ACCOUNT, "api_host"), "API hostname")
        self._ask((*_ACCOUNT, "ikey"), "Integration key")
        self._ask_where_the_key_is()
        say("The SIEM:")
        self._ask((*_SIEM, "kind"), "Kind", default="tls", choices=tuple(KINDS))
        if self._interview.given((*_SIEM, "kind")) == "http":
            self._ask((*_SIEM, "preset"), "Product", choices=(*PRESETS, "other"), none="other")
        self._ask((*_SIEM, "format"), "Format", default="json", choices=tuple(FORMATS))
        while missing := self._interview.missing():
            for key in missing:
                field = self._interview.field_of(key)
                example = (field.examples or [None])[0] if field is not None else None
                self._ask(key, f"{key[-1]} ({field.description.rstrip('.')})" if field and field.description else str(key[-1]),
                          hint=f"such as {example}" if example is not None else "")  # fmt: skip
        self._ask_logs()

    def _ask(
        self, key: KeyPath, name: str, *, default: str = "", choices: Sequence[str] = (), none: str = "", hint: str = ""
    ) -> None:
        if self._interview.given(key) is not None:
            return
        shown = ", ".join(choices) or hint
        prompt = f"  {name}{f' ({shown})' if shown else ''}{f' [{default}]' if default else ''}: "
        while True:
            reply = input(prompt).strip() or default
            if none and reply in (none, ""):
                return
            wrong = self._interview.answer(key, reply) if reply else Wrong("this is needed", "Type it, or Ctrl-C to leave.")
            if wrong is None:
                return
            say(f"    {wrong}")

    def _ask_where_the_key_is(self) -> None:
        key = (*_ACCOUNT, "skey")
        if self._interview.given(key) is not None:
            return
        while (where := input("  Secret key: kept where (env, file, systemd) [file]: ").strip() or "file") not in _STORAGES:
            say("    Write env (an environment variable), file, or systemd (a credential of the unit duologsync.service).")
        if where == "env":
            self._ask_reference(key, "env:", "Variable", "DUO_SKEY")
        elif where == "file":
            self._ask_reference(key, "file:", "File of the key", str(self._path.absolute().parent / "skey"))
            self._offer_key_file(Path(str(self._interview.given(key)).removeprefix("file:")))
        else:
            self._interview.answer(key, _CREDENTIAL)
            self._offer_key_file(_SKEY_OF_UNIT)

    def _ask_reference(self, key: KeyPath, scheme: str, name: str, default: str) -> None:
        while (
            wrong := self._interview.answer(key, scheme + (input(f"  {name} [{default}]: ").strip() or default))
        ) is not None:
            say(f"    {wrong}")

    def _offer_key_file(self, path: Path) -> None:
        """Writes the key's own file, for its owner alone, where there is none yet and somebody types the key."""
        if os.path.lexists(path):
            say(f"    {path} is there already, and is left as it is.")
            return
        while key := getpass.getpass("  Secret key (is not shown; empty to write the file yourself): ").strip():
            if len(key) == SKEY_CHARS:
                break
            say(f"    {Wrong(*wrong_skey(len(key)))}")
        if not key:
            return
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{key}\n")
        except OSError as error:
            say(f"    {path} cannot be written: {error.strerror}. Write it yourself, with mode 600.")

    def _ask_logs(self) -> None:
        if "routes" in self._interview.data:
            return
        usual = ",".join(DEFAULT_LOG_TYPES)
        prompt = f"Logs (of {', '.join(LOG_TYPES)}) [{usual}]: "
        while _take_logs(self._interview, input(prompt).strip() or usual) is not None:
            pass
