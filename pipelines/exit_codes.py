"""What the program's exit code says. Supervisors and scripts rely on these numbers: they are never reused.

docs/exit-codes.md is made of this: ``python -m pipelines.exit_codes > docs/exit-codes.md``; a test compares.
"""

import sys

from transforms.errors import DuoLogSyncError, FatalError, StreamUnavailable

OK = 0
INTERNAL = 1
CONFIG = 2
CREDENTIALS = 3
DELIVERY = 4
STATE = 5
UNREACHABLE = 6
UNMET = 7
BEHIND = 8
STOPPED = 9
SUSPENDED = 10
INTERRUPTED = 11
INCOMPLETE = 12
TAMPERED = 13

MEANINGS = {
    OK: "ended as asked; everything that was read was delivered, as the last line of the log says",
    INTERNAL: "a bug; or the output cannot be written; or a runner refused or ended the job. The log says what is known "
    "(`--verbose`: all of it)",
    CONFIG: "the configuration or the command line; nothing was started",
    CREDENTIALS: "Duo itself refused the keys, three times within a minute, or a log that a backfill was to read; or a secret "
    "cannot be read. What a proxy says in its place is waited out. Where some streams can go on, they do, and the "
    "log says which are suspended",
    DELIVERY: "a destination can never be reached as configured, or the grace period ended before everything was delivered, "
    "and seen to be read",
    STATE: "a state directory or the log file cannot be used: another copy has it, others may write to it, or a link "
    "stands in its place",
    UNREACHABLE: "Duo cannot be asked for now: no connection, no answer, no trust in its certificate, a clock that is off, "
    "trouble of its own. From `check`, and from a launch on another runner, also where no job server answers. `run` "
    "on this machine waits instead",
    UNMET: "`duologsync test`: an expectation is not met",
    BEHIND: "`duologsync status`: a stream stands still, or is further behind than `--max-lag`",
    STOPPED: "`duologsync status`: nothing runs",
    SUSPENDED: "`duologsync status`: a stream waits for a person, or its checkpoint is damaged",
    INTERRUPTED: "`duologsync backfill`: asked to end before its end; the same command goes on",
    INCOMPLETE: "`duologsync audit`: events are missing, or it cannot be shown that none is",
    TAMPERED: "`duologsync audit --verify`: a certificate was changed, removed, reordered or inserted",
}

_HEAD = """\
# Exit codes

<!-- Made of pipelines/exit_codes.py: python -m pipelines.exit_codes > docs/exit-codes.md -->

What `duologsync` and all its commands end with. A code means the same in every release, and none is ever reused.

| code | meaning |
|---|---|
"""


def for_refusal(error: DuoLogSyncError) -> int:
    """The code where Duo could not be asked for something: waiting may help, or only other keys."""
    return CREDENTIALS if isinstance(error, (FatalError, StreamUnavailable)) else UNREACHABLE


def document() -> str:
    """The page of them."""
    return _HEAD + "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())


if __name__ == "__main__":
    sys.stdout.write(document())
