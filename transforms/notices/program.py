"""Notices about the program itself: its threads, limits, log and end. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices.notice import error, warning

BUG = error(
    "P001",
    "A bug",
    meaning="The program ended by an error that nobody expected. Nothing undelivered was marked as delivered; the next start "
    "goes on from there.",
    check="The traceback in the log.",
    fix="Start it again, and report the traceback; it holds no secret and no event.",
)
UNEXPECTED = error(
    "P002",
    "A bug in one part of the program",
    meaning="An error that nobody expected in the thread that the line names. It goes on; nothing is skipped.",
    check="The traceback in the log.",
    fix="Report it with the traceback; it holds no secret and no event.",
)
NO_THREAD = error(
    "P003",
    "The system gives no more threads",
    meaning="Some streams are not read until it does; it is tried again all the time. Nothing is lost.",
    check="'ulimit -u', TasksMax= of the unit, the memory of the machine.",
    fix="Raise the limit of threads.",
)
FEW_CONNECTIONS = warning(
    "P004",
    "The limit of file descriptors makes streams share connections",
    meaning="There are more streams than connections that this process may have. They take turns, so events come later.",
    check="'ulimit -n', LimitNOFILE= of the unit.",
    fix="Raise the limit of file descriptors.",
)
NO_DESCRIPTOR = warning(
    "P005",
    "No file descriptor or connection is left",
    meaning="A call to Duo had to wait for a free one. It is tried again; nothing is lost.",
    check="'ls /proc/PID/fd | wc -l' against 'ulimit -n'.",
    fix="Raise the limit of file descriptors: LimitNOFILE= in the unit.",
)
GRACE_OVER = warning(
    "P006",
    "The program ended before everything was delivered",
    meaning="The grace period was over. What was not delivered is read again at the next start; some may repeat.",
    check="Whether a destination was away or slow at that time.",
    fix="Nothing to do; a longer --grace-secs (and TimeoutStopSec=) gives it more time.",
)
ENDS_AT_ONCE = warning(
    "P007",
    "The program was asked twice to end",
    meaning="It ends at once. What was not delivered is read again at the next start; some may repeat.",
    check="Who sends the second signal: a person, or a supervisor with a short time limit.",
    fix="Nothing to do; give it time to end if it should not repeat events.",
)
LOG_NOT_WRITTEN = error(
    "P008",
    "The program's log file cannot be written",
    meaning="Lines are missing there, or the file grows beyond its limit. Everything else goes on, and stderr has all lines.",
    check="'df' and 'ls -ld' of the log's directory.",
    fix="Make room, or let the program write there.",
)
FAILED = error(
    "P009",
    "Something that only a person can mend",
    meaning="The line says what. What it concerns waits; all else goes on.",
    check="The cause in the line.",
    fix="What the cause says.",
)
HICCUP = warning(
    "P010",
    "Something passing is in the way",
    meaning="It is tried again by itself; nothing is lost.",
    check="The cause in the line; whether it comes again.",
    fix="Nothing to do, unless it stays.",
)
NO_STATUS_PAGE = warning(
    "P011",
    "There is no status page",
    meaning="Nothing can listen at the address of the configuration, or its token cannot be read. The run goes on without "
    "page and metrics.",
    check="The cause in the line; 'ss -ltnp' shows who listens.",
    fix="Correct the section monitoring, or free the address, and start the program again.",
)
ANOTHER_PORT = warning(
    "P012",
    "The status page has another port",
    meaning="The port of the configuration is taken, so a free one is used until the next start.",
    check="'ss -ltnp' shows who has it: another duologsync on this machine, perhaps.",
    fix="Give each program a port of its own: monitoring.port.",
)
PAGE_FAILED = error(
    "P013",
    "A bug in the status page",
    meaning="One question could not be answered. Delivery is not touched.",
    check="The traceback in the log.",
    fix="Report it with the traceback; it holds no secret and no event.",
)
PLACE_NOT_NOTED = warning(
    "P014",
    "Where the status page is cannot be noted",
    meaning="The command status cannot ask the running program and shows what the checkpoints say.",
    check="'df' and 'ls -ld' of the checkpoint directory.",
    fix="Make room, or let the program write to the checkpoint directory.",
)
LIBRARY = warning(
    "P015",
    "A library that is used here has something to say",
    meaning="The line is not ours. Where it is about an error of a bundle, a line of ours says what follows from it.",
    check="The logger in the line says whose it is.",
    fix="Nothing to do, unless a line of ours asks for it.",
)
