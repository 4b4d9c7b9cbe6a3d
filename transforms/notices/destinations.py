"""Notices about destinations, the SIEM's side. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices.notice import error, warning

AWAY = warning(
    "S001",
    "A destination is away",
    meaning="It cannot be reached, or the connection was lost. Its events wait (in Duo, behind the position) and are sent "
    "when it is back; other destinations go on.",
    check="The cause in the line; 'duologsync check CONFIG'; on the receiver, whether it listens.",
    fix="Start the receiver, or let this machine reach it; delivery goes on by itself.",
)
STALLED = warning(
    "S002",
    "A destination takes nothing",
    meaning="It is connected and reads nothing: its queue is full, its disk is full, or it is overloaded. Its events wait.",
    check="The receiver's own log, queues and disk.",
    fix="Give the receiver room, or raise its limits; delivery goes on by itself.",
)
NOT_AS_CONFIGURED = warning(
    "S003",
    "A destination answers otherwise than before",
    meaning="It took events, and now shows another certificate, another name or asks for other credentials. Its events wait.",
    check="The cause in the line; 'duologsync check CONFIG'.",
    fix="Put back what was changed at the receiver, or bring the configuration in line with it.",
)
MISCONFIGURED = error(
    "S004",
    "A destination cannot be used as configured",
    meaning="It answers, but never as configured: a wrong CA, name, token or index, an expired certificate, a file that may "
    "not be written. Its events wait; other destinations go on.",
    check="The cause in the line; 'duologsync check CONFIG'.",
    fix="Correct what the line names, and start the program again if the configuration was changed.",
)
MAY_NOT_READ = warning(
    "S005",
    "A destination has not ended a connection for a long time",
    meaning="It was told that nothing more comes, and does not close: it may not be reading. What it was sent is kept, and "
    "sent again if the connection is lost.",
    check="Whether the receiver's process hangs, and whether a balancer in between holds connections open.",
    fix="Restart the receiver if it hangs.",
)
NEVER_ENDED = error(
    "S006",
    "Whether messages were read cannot be known: the connection was never ended",
    meaning="The receiver's system acknowledged messages, and the receiver never showed that it read them. They are kept as "
    "dead letters.",
    check="Search the SIEM for the events of that time.",
    fix="If they are missing there: 'duologsync replay CONFIG'; if they are there, drop those dead letters.",
)
RESET_TWICE = error(
    "S007",
    "Whether messages were read cannot be known: the connection was reset twice",
    meaning="Messages were acknowledged, the connection was reset, they were sent again, and it was reset again. They are "
    "kept as dead letters and not sent a third time.",
    check="Search the SIEM for the events of that time; look why the receiver resets connections.",
    fix="If they are missing there: 'duologsync replay CONFIG'; if they are there, drop those dead letters.",
)
UNREAD_AT_END = warning(
    "S008",
    "At the end a destination had not read everything",
    meaning="The last messages were acknowledged and not seen to be read. The next start sends them again, so some may repeat.",
    check="Whether the receiver was stopped at the same time, or was overloaded.",
    fix="Nothing to do: the next start sends them again.",
)
NOT_WAITED_FOR = warning(
    "S009",
    "A destination does not answer at the end",
    meaning="It hangs, and the program ends without it. What it was not seen to take is read and sent again at the next start.",
    check="Whether the receiver's process, or the file system that is written to, hangs.",
    fix="Nothing to do here: the next start goes on; look after the receiver.",
)
NOT_CLOSED = warning(
    "S010",
    "A destination could not be closed in good order",
    meaning="An error while a connection was ended. What was not seen to be read is sent again at the next start.",
    check="The traceback in the log.",
    fix="Report it if it comes again.",
)
IDLE_CHECK_FAILED = warning(
    "S011",
    "An idle connection could not be looked after",
    meaning="A look at a connection failed in a way that nobody expected; others are looked after. The next bundle finds out "
    "whether the connection works.",
    check="The traceback in the log.",
    fix="Report it if it comes again.",
)
HELD = warning(
    "S012",
    "A stream waits for its destination",
    meaning="Nothing more is read for a destination that cannot be used; what it has not got stays at Duo. All else goes on.",
    check="Why it cannot be used: DLS-S001, DLS-S003 or DLS-S004 near this line, and 'duologsync status CONFIG'.",
    fix="Mend the destination; reading goes on by itself.",
)
NOT_LOOKED_AT = warning(
    "S013",
    "Whether a destination is back cannot be looked at",
    meaning="The system gives no thread for the look. It is tried again; the destination's events wait.",
    check="'ulimit -u', TasksMax= of the unit, the memory of the machine.",
    fix="Raise the limit of threads.",
)
BUNDLE_FAILED = warning(
    "S014",
    "A bundle failed and is read again",
    meaning="Something between reading and delivery failed, and everything since the last confirmed position is done again. "
    "Nothing is lost, some of it may repeat.",
    check="The cause at the end of the line, and the notices before it.",
    fix="What the cause says; if it stays, the stream waits and does not skip.",
)
FILE_NOT_RENAMED = warning(
    "S015",
    "A destination's file cannot be set aside",
    meaning="The file has reached its size or age and cannot be renamed. Events are written to it all the same.",
    check="The rights of the directory, and whether it is full.",
    fix="Let the program rename files in that directory.",
)
HALF_LINE = warning(
    "S016",
    "A destination's file ended in the middle of a line",
    meaning="Whoever wrote there last was stopped. The half line is ended as it is; its event is sent again, whole.",
    check="Whether two programs write to the same file.",
    fix="Nothing to do; let readers of the file skip a line that is not whole.",
)
DELIVERY_TIMED_OUT = warning(
    "S017",
    "A destination did not take a bundle in time",
    meaning="Its delivery timeout is over. The bundle fails and is read again; nothing is lost.",
    check="Whether the destination is away or slow; the delivery_timeout of the destination.",
    fix="Mend the destination, or raise its delivery_timeout.",
)
