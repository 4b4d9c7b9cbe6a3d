"""Notices about what is kept on disk: checkpoints, rate budgets, dead letters. See ``transforms.notices``."""

from __future__ import annotations

from transforms.notices.notice import error, warning

CHECKPOINT_UNREADABLE = error(
    "K001",
    "A checkpoint is damaged",
    meaning="The record cannot be read, and is kept under another name. The one before it is used; where there is none, the "
    "stream begins at its full look-back: events repeat, none is skipped.",
    check="The disk, and whether something else writes to the checkpoint directory.",
    fix="Nothing to do for the events; find out what damaged the file.",
)
CHECKPOINT_NOT_WRITTEN = error(
    "K002",
    "A checkpoint cannot be written",
    meaning="Delivery goes on. A restart would repeat what was delivered since the last checkpoint.",
    check="'df' and 'ls -ld' of the checkpoint directory.",
    fix="Make room, or let the program write to the checkpoint directory.",
)
DIRECTORY_UNUSABLE = error(
    "K003",
    "The checkpoint directory cannot be used",
    meaning="Without it the program would not know what was delivered. It does not start.",
    check="'ls -ld' of the directory: it must belong to the program's user, and nobody else may write to it.",
    fix="Do what the line says, and start again.",
)
IN_USE = error(
    "K004",
    "Another program uses the checkpoint directory",
    meaning="Two programs with the same positions would deliver everything twice. This one does not start.",
    check="The process that the line names; 'systemctl status duologsync'.",
    fix="Stop the other one, or give this one a checkpoint directory of its own.",
)
NOT_LOCKABLE = warning(
    "K005",
    "The checkpoint directory cannot be locked",
    meaning="An object store has no locks: a second program on it would not be noticed, and would deliver everything twice.",
    check="That only one job uses it.",
    fix="Give each job a checkpoint directory of its own.",
)
UNCLEAN_END = warning(
    "K006",
    "The last run did not end in good order",
    meaning="What was delivered last may not have been read by the destination. That is read and sent again, so some may "
    "repeat.",
    check="Why it ended: killed, out of memory, a crash of the machine.",
    fix="Nothing to do for the events; give the program time to end (TimeoutStopSec=).",
)
NO_CHECKPOINT_THERE = warning(
    "K007",
    "What a stream should begin at has no checkpoint",
    meaning="The key begin_at names a destination whose position is not known. The stream begins at its look-back and may "
    "repeat events.",
    check="The name in begin_at, and 'duologsync status CONFIG'.",
    fix="Correct the name if it is wrong; else nothing.",
)
HINT_UNUSABLE = warning(
    "K008",
    "The checkpoint directory cannot be used on a worker",
    meaning="The runner's own checkpoint is the truth; a launch without one begins at the look-back and repeats events.",
    check="Whether the worker can reach and write the directory.",
    fix="Name a directory that all workers share, such as gs://… or s3://….",
)
INCUMBENT_UNREADABLE = error(
    "K009",
    "Duo Log Sync's checkpoint cannot be taken over",
    meaning="The stream begins at its look-back and may repeat events that Duo Log Sync delivered. None is skipped.",
    check="The file that the line names: its rights and its content.",
    fix="Correct the file's rights and move the new checkpoint aside, or let the events repeat.",
)
FILE_NOT_TRUSTED = warning(
    "K010",
    "A checkpoint file is not trusted",
    meaning="It is a link, or belongs to another user. It is not read.",
    check="'ls -l' of the file that the line names.",
    fix="Look who put it there, and remove it.",
)
BUDGETS_NOT_KEPT = warning(
    "K011",
    "How fast Duo may be called cannot be kept",
    meaning="What was learnt of Duo's limits is not written. After a restart it is learnt anew, with some 429s.",
    check="'df' and 'ls -ld' of the checkpoint directory.",
    fix="Make room, or let the program write to the checkpoint directory.",
)
BUDGETS_NOT_USED = warning(
    "K012",
    "What was learnt of Duo's limits is not used",
    meaning="The file is damaged, not ours, or of another release. It is learnt anew, with some 429s at first.",
    check="The file that the line names.",
    fix="Nothing to do; the file is written anew.",
)
DEAD_LETTERS_NOT_WRITTEN = error(
    "K013",
    "Dead letters cannot be written",
    meaning="An event that no destination takes has nowhere to go, so its stream is held until the directory can be written. "
    "Nothing is lost.",
    check="'df' and 'ls -ld' of the dead letter directory.",
    fix="Make room, or let the program write to the dead letter directory; the streams go on by themselves.",
)
DEAD_LETTERS_UNSAFE = error(
    "K014",
    "The dead letter directory is not safe",
    meaning="Others could read or change events there. The program does not start.",
    check="'ls -ld' of the directory.",
    fix="Do what the line says, and start again.",
)
FILE_CUT_SHORT = warning(
    "K015",
    "A file of dead letters or an archive was cut short",
    meaning="Whoever wrote it was stopped, or the disk was full. What is before the cut is read.",
    check="Whether the disk was full, or the machine crashed, at that time.",
    fix="Nothing to do: events that were not written whole were not confirmed, and were sent again.",
)
FILE_DAMAGED = error(
    "K016",
    "A file of dead letters or an archive is damaged",
    meaning="A block in the middle cannot be read; the others are.",
    check="The disk, and whether something else changed the file.",
    fix="Put the file back from a backup and replay it again.",
)
NOT_REPLAYED = error(
    "K017",
    "A file was not replayed",
    meaning="It cannot be read, or was taken away. It stays as it is, and the others are sent.",
    check="The cause in the line.",
    fix="Mend or remove the file, then 'duologsync replay CONFIG' again.",
)
HOMELESS = warning(
    "K018",
    "Dead letters name a destination that is not configured",
    meaning="They stay where they are: nobody knows where to send them.",
    check="'duologsync dead-letters CONFIG list' shows their destinations.",
    fix="'duologsync replay CONFIG --to NAME' sends them to another one.",
)
REPLAY_UNREAD = error(
    "K019",
    "A replay was not seen to be read",
    meaning="A receiver acknowledged what was replayed, and did not show that it read it. It is sent again by the next replay.",
    check="Search the SIEM for those events.",
    fix="'duologsync replay CONFIG' again; some may repeat.",
)
REPLAY_FAILED = error(
    "K020",
    "A replay ended early",
    meaning="What was not sent stays where it is.",
    check="The cause in the line.",
    fix="What the cause says, then 'duologsync replay CONFIG' again.",
)
REPLAY_PARTLY = warning(
    "K021",
    "A replay of an archive has done some days",
    meaning="It was ended before the last day. What is of earlier days has been sent.",
    check="The day in the line.",
    fix="Go on with --from and that day.",
)
MANY_LETTERS = warning(
    "K022",
    "Dead letters take much room",
    meaning="They are kept, and grow. A full disk would hold up what needs a dead letter.",
    check="'duologsync dead-letters CONFIG list' counts them by reason and day.",
    fix="Mend what their reasons say, 'replay' or 'drop' them, or set storage.dead_letter_keep_days.",
)
OLD_LETTERS_REMOVED = warning(
    "K023",
    "Old dead letters were removed",
    meaning="The key storage.dead_letter_keep_days says so. Those events were never delivered; 'dropped.jsonl' there "
    "says how many, whose and why.",
    check="Whether they should have been replayed: 'duologsync dead-letters CONFIG list' shows what is left.",
    fix="Nothing to do, or a longer storage.dead_letter_keep_days.",
)
