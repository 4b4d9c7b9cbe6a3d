"""``duologsync dead-letters CONFIG list|show|drop``: what could not be delivered, why, and away with what nobody needs.

``list`` counts, ``show`` shows single letters with what is personal masked, ``drop`` removes letters for good. ``replay`` sends
them again. None of them needs Duo, a destination or a secret.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines import exit_codes, logs
from pipelines.commands.backfill import moment, names
from pipelines.commands.loading import add_config_argument, load_or_explain
from pipelines.importing import importing
from pipelines.printable import say, say_json
from pipelines.replays.letter_choice import LetterChoice
from pipelines.replays.overview import Group, Overview, overview
from transforms.errors import DuoLogSyncError
from transforms.events.masking import masked
from transforms.process.clock import utc
from transforms.process.plural import counted

if TYPE_CHECKING:
    from transforms.state.dead_letters.letter import DeadLetter

_SHOWN = 20
_COLUMNS = ("destination", "log", "account", "day (UTC)", "reason")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this verb."""
    add_config_argument(parser)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("list", "show", "drop"),
        default="list",
        help="count them (default), show some, or drop some",
    )
    parser.add_argument("--destinations", type=names, default=(), metavar="A,B", help="only those on their way there")
    parser.add_argument("--log-types", type=names, default=(), metavar="A,B", help="only of these logs")
    parser.add_argument("--accounts", type=names, default=(), metavar="A,B", help="only of these; of a parent, its children")
    parser.add_argument(
        "--reasons", type=names, default=(), metavar="A,B", help="only given up for these reasons, as list shows"
    )
    parser.add_argument(
        "--since", type=moment, metavar="TIME", help="only given up then or later: 2026-11-01, 2026-11-01T08:30, 30d"
    )
    parser.add_argument("--before", type=moment, metavar="TIME", help="only given up before then")
    parser.add_argument("--json", action="store_true", help="print JSON: one object, or with show one in each line")
    parser.add_argument("--limit", type=int, default=_SHOWN, metavar="N", help=f"show at most so many ({_SHOWN})")
    parser.add_argument("--raw", action="store_true", help="show events as they are, with what is personal in them")
    parser.add_argument("--yes", action="store_true", help="drop all that is chosen, also where nothing else is said")


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked for."""
    loaded = load_or_explain(arguments.config, look_at_files=False, then="")
    if loaded is None:
        return exit_codes.CONFIG
    directory = loaded.job.storage.dead_letter_dir
    choice = LetterChoice(
        arguments.destinations, arguments.log_types, arguments.accounts, arguments.reasons,
        _ms(arguments.since), _ms(arguments.before),
    )  # fmt: skip
    logs.set_up()
    try:
        return {"list": _list, "show": _show, "drop": _drop}[arguments.what](directory, choice, arguments)
    except (OSError, DuoLogSyncError) as error:
        say(f"The dead letters in {directory} cannot be used: {_cause(error)}", to=sys.stderr)
        return exit_codes.STATE


def _cause(error: OSError | DuoLogSyncError) -> str:
    return f"{error.strerror}." if isinstance(error, OSError) and error.strerror else str(error)


def _ms(moment_of: dt.datetime | None) -> int | None:
    return None if moment_of is None else int(moment_of.timestamp() * 1000)


def _list(directory: str, choice: LetterChoice, arguments: argparse.Namespace) -> int:
    found = overview(directory, choice)
    if arguments.json:
        say_json(_as_json(directory, found))
    else:
        for line in _table(found):
            say(line)
        say(_summary(directory, found))
        for place, why in found.unreadable.items():
            say(f"{place} cannot be read: {why}.")
    return exit_codes.STATE if found.unreadable else exit_codes.OK


def _as_json(directory: str, found: Overview) -> dict[str, object]:
    rows = [{**group._asdict(), "count": count} for group, count in _ordered(found)]
    return {
        "directory": directory,
        "total": found.counts.total(),
        "files": found.files,
        "size_bytes": found.size_bytes,
        "letters": rows,
        "unreadable": found.unreadable,
    }


def _ordered(found: Overview) -> list[tuple[Group, int]]:
    return sorted(found.counts.items())


def _table(found: Overview) -> Iterator[str]:
    rows = [tuple(part or "-" for part in group) for group, _ in _ordered(found)]
    if not rows:
        return
    widths = [max(len(row[column]) for row in (_COLUMNS, *rows)) for column in range(len(_COLUMNS))]
    for row, count in zip((_COLUMNS, *rows), ("letters", *(f"{count:,}" for _, count in _ordered(found))), strict=True):
        yield "  ".join(f"{part:<{width}}" for part, width in zip(row, widths, strict=True)) + f"  {count:>9}"


def _summary(directory: str, found: Overview) -> str:
    if not found.counts:
        return (
            f"There are no such dead letters in {directory}." if found.files else f"There are no dead letters in {directory}."
        )
    size = f", {found.size_bytes / 1e6:,.1f} MB" if found.size_bytes else ""
    return f"{counted(found.counts.total(), 'dead letter')} in {directory} ({counted(found.files, 'file')}{size})."


def _show(directory: str, choice: LetterChoice, arguments: argparse.Namespace) -> int:
    shown = more = 0
    for letter in _letters(directory, choice):
        if shown >= arguments.limit:
            more += 1
            continue
        shown += 1
        told = _told(letter, raw=arguments.raw)
        if arguments.json:
            say_json(told)
        else:
            say(f"{told['given_up']}  {told['account']}/{told['log_type']} to {told['destination'] or '-'}: {told['reason']}")
            say(f"    {told['detail']}")
            say(f"    {told['event']}")
    if not arguments.json:
        hidden = "" if arguments.raw else " What is personal is masked; --raw shows it."
        say(f"{counted(shown, 'dead letter')} shown, {more:,} more." + hidden if shown else f"There are none in {directory}.")
    return exit_codes.OK


def _told(letter: DeadLetter, *, raw: bool) -> dict[str, object]:
    content = letter.raw or letter.message
    event = content.decode("utf-8", "backslashreplace") if raw else masked(content)
    return {
        "given_up": utc(letter.time_ms),
        "account": letter.account,
        "log_type": letter.log_type,
        "destination": letter.destination,
        "format": letter.format,
        "reason": letter.reason,
        "detail": letter.detail,
        "event": event,
    }


def _letters(directory: str, choice: LetterChoice) -> Iterator[DeadLetter]:
    """What is chosen; a file that cannot be read is told."""
    with importing():
        from transforms.state.dead_letters.files import letter_files  # needs Beam, which list does not

    for file in letter_files(directory):
        try:
            for letter in file.letters():
                if _is_chosen(choice, letter):
                    yield letter
        except FileNotFoundError:  # a replay has just renamed it
            continue
        except (OSError, ValueError) as error:
            say(f"{file.place} cannot be read: {error}.", to=sys.stderr)


def _is_chosen(choice: LetterChoice, letter: DeadLetter) -> bool:
    return choice.takes(
        destination=letter.destination,
        log_type=letter.log_type,
        account=letter.account,
        reason=letter.reason,
        time_ms=letter.time_ms,
    )


def _drop(directory: str, choice: LetterChoice, arguments: argparse.Namespace) -> int:
    if choice.takes_all and not arguments.yes:
        for line in _table(found := overview(directory, choice)):
            say(line)
        say(f"{_summary(directory, found)} Nothing was dropped: say which, or --yes for all of them.")
        return exit_codes.CONFIG
    with importing():
        from pipelines.replays.dropping import Dropping

    dropping = Dropping(directory, choice)
    try:
        dropping.run()
    finally:
        for kind, count in sorted(dropping.counts.items()):
            say(f"dropped {count:,} of {kind.account}/{kind.log_type} to {kind.destination or '-'}: {kind.reason}")
    for place in dropping.left:
        say(f"{place} was taken by a replay, and stays. Let the replay end, or run it again.")
    total = dropping.counts.total()
    say(f"{counted(total, 'dead letter')} dropped for good." if total else "Nothing was chosen, and nothing dropped.")
    return exit_codes.STATE if dropping.unreadable or dropping.left else exit_codes.OK
