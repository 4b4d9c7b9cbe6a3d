"""The command line: ``duologsync VERB …``, and ``duologsync config.yml`` as the incumbent's users type it.

Each verb is one module in ``pipelines.commands`` with ``add_arguments(parser)`` and ``run(arguments) -> exit code``; a new
verb is one module and one line in ``_VERBS``. Modules are imported when their verb is used, so that ``--help`` and
``validate`` need no Beam.

Contract: bad input ends with a message and an exit code of ``pipelines.exit_codes``, never with a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from pipelines import __version__, exit_codes
from pipelines.importing import importing
from pipelines.printable import OutputLost, say, write_whatever_comes
from transforms.notices import program
from transforms.notices.notice import tell

_VERBS = {
    "run": "move events until asked to end (the default when the first word is a file)",
    "init": "ask for what a configuration needs, and write one",
    "validate": "check a configuration file; touches nothing else",
    "explain": "show where an event would go, what would be sent, byte for byte, and why not elsewhere",
    "test": "check your own expectations of a configuration: events, and the messages that are made of them",
    "check": "try a configuration for real: Duo's keys, clock and logs, and every destination",
    "backfill": "read a stretch of the past again, beside a running duologsync",
    "status": "show whether it runs, how far every stream has been delivered, and what to do",
    "tap": "show events as they pass in the running program",
    "replay": "send dead letters again",
    "dead-letters": "count, show or drop what could not be delivered",
    "audit": "show that everything Duo has is where it should be, name what is not, and send it",
    "schema": "print the JSON Schema or a commented sample of the configuration",
    "demo": "show the whole thing working, with a simulated Duo and a receiver; needs no credentials",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code."""
    write_whatever_comes()
    words = list(sys.argv[1:] if argv is None else argv)
    words, beam_flags = _split_beam_flags(words)
    if words and words[0] not in _VERBS and not words[0].startswith("-"):
        if _is_mistyped(words[0]):
            say(_no_such_command(words[0]), to=sys.stderr)
            return exit_codes.CONFIG
        words.insert(0, "run")
    verb = words[0] if words and words[0] in _VERBS else None
    parser = _parser(verb)
    arguments = parser.parse_args(words)
    if arguments.verb is None:
        parser.print_help()
        return exit_codes.CONFIG
    if beam_flags and arguments.verb != "run":
        parser.error("only 'run' takes Beam's own flags behind --")
    arguments.beam_flags = beam_flags
    try:
        return int(_module(arguments.verb).run(arguments))
    except KeyboardInterrupt:
        return 128 + 2
    except BrokenPipeError:
        # The reader of our output went away (``… | head``): nothing to say, and nobody to say it to.
        sys.stderr.close()
        return exit_codes.OK
    except OutputLost as error:
        if error.nobody_reads:
            sys.stderr.close()
            return exit_codes.OK
        return _output_lost(error)
    except Exception:
        logger = logging.getLogger("duologsync.program")
        tell(logger, program.BUG, "This is a bug in duologsync. Nothing undelivered was marked as delivered.", exc_info=True)
        return exit_codes.INTERNAL


def _output_lost(error: OutputLost) -> int:
    """Says where it still can why nothing more is printed. What is left of the output would fail again at the very end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"The output cannot be written: {error}.\n")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
    os.close(nowhere)
    return exit_codes.INTERNAL


def _split_beam_flags(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _is_mistyped(word: str) -> bool:
    """Whether the first word is no file either. What looks like a file's name is told as a file that is missing."""
    return not any(sign in word for sign in (".", "/", os.sep)) and not os.path.lexists(word)


def _no_such_command(word: str) -> str:
    near = difflib.get_close_matches(word.lower(), _VERBS, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"There is neither a command nor a file {word!r}. {hint}'duologsync --help' lists the commands."


def _parser(verb: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="duologsync",
        description="Moves every Cisco Duo log event into your SIEM, without losing one.",
        epilog="Exit codes: 0 fine, 1 a bug, 2 configuration, 3 credentials, 4 delivery, 5 state directories, 6 Duo away, "
        "7 an expectation of test; of status: 8 behind, 9 nothing runs, 10 a person is needed; 11 a backfill was interrupted; "
        "of audit: 12 events are missing or unaccounted for, 13 certificates were changed.",
    )
    parser.add_argument("--version", action="version", version=f"duologsync {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, what in _VERBS.items():
        sub = verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        if name == verb:
            _module(name).add_arguments(sub)
    return parser


def _module(verb: str) -> Any:
    with importing():
        return importlib.import_module(f"pipelines.commands.{verb.replace('-', '_')}")


if __name__ == "__main__":
    sys.exit(main())
