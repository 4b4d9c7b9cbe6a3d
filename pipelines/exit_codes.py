"""What the program's exit code says. Supervisors and scripts rely on these numbers: they are never reused."""

from transforms.errors import DuoLogSyncError, FatalError, StreamUnavailable

OK = 0
INTERNAL = 1  # a bug of ours; or the output cannot be written; or a runner refused or ended the job; the log says what is known
CONFIG = 2  # the command line or the configuration; nothing was started
CREDENTIALS = 3  # Duo refused the keys of every account, or a log that a backfill asked for; or a secret cannot be read
DELIVERY = 4  # a destination can never be reached as configured, or events were still undelivered when the grace period ended
STATE = 5  # the checkpoint or dead letter directory is in use by another copy, or cannot be used
UNREACHABLE = 6  # Duo or the job server cannot be asked for now; a run on this machine waits for Duo instead
UNMET = 7  # `duologsync test`: an expectation is not met
BEHIND = 8  # `status`: a stream stands still, or is further behind than --max-lag
STOPPED = 9  # `status`: nothing runs
SUSPENDED = 10  # `status`: a stream waits for a person, or its checkpoint is damaged
INTERRUPTED = 11  # `backfill`: asked to end before its end; the same command goes on
INCOMPLETE = 12  # `audit`: events are missing, or it cannot be shown that none is
TAMPERED = 13  # `audit --verify`: a certificate was changed, removed, reordered or inserted


def for_refusal(error: DuoLogSyncError) -> int:
    """The code where Duo could not be asked for something: waiting may help, or only other keys."""
    return CREDENTIALS if isinstance(error, (FatalError, StreamUnavailable)) else UNREACHABLE
