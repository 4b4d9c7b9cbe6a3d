"""Notices about launches on Beam's runners. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices.notice import error, warning

UNKNOWN_FLAGS = error(
    "R001",
    "Beam does not know a flag",
    meaning="Nothing was started: a flag that is misspelt would do nothing, silently.",
    check="The flags behind -- against docs/runners.md.",
    fix="Correct the flag, and start again.",
)
KEEPS_STREAMS_BACK = error(
    "R002",
    "A flag would hold events back during checkpoints",
    meaning="Nothing was started. See docs/flink.md.",
    check="The flags behind --.",
    fix="Leave the flag out, and start again.",
)
WRONG_ON_DATAFLOW = error(
    "R003",
    "The configuration cannot work on Dataflow",
    meaning="Nothing was started. Workers have no disk that lasts and no environment of yours.",
    check="The list of what Dataflow needs in docs/dataflow.md.",
    fix="Do what the line says, and launch again.",
)
TIMEOUT_TOO_LONG = warning(
    "R004",
    "A delivery timeout is not below the checkpoint timeout",
    meaning="While that destination is away, checkpoints of all log types fail, and a restart repeats more.",
    check="The delivery_timeout of the destination against --checkpoint_timeout_millis.",
    fix="Lower the one or raise the other.",
)
NOT_TAKEN = error(
    "R005",
    "The runner did not take the job",
    meaning="Nothing was started.",
    check="Whether the job server runs and its address is right; --verbose shows the whole error.",
    fix="What the cause says, and launch again.",
)
JOB_ENDED = error(
    "R006",
    "The job ended by itself",
    meaning="Nothing is read any more. Positions are kept; the next launch goes on from there.",
    check="The cause in the line, and the runner's own log.",
    fix="What the cause says, and launch again, from the last checkpoint or savepoint where there is one.",
)
FLAG_LEFT_OUT = warning(
    "R007",
    "A launcher's flag is left out",
    meaning="The service added a flag that this release of Beam does not know. The job starts without it.",
    check="Whether you set it yourself.",
    fix="Nothing to do, unless you set it yourself: then correct it.",
)
