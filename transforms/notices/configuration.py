"""Notices about the configuration. See ``transforms.notices``. Its errors are told by ``validate``, with key and place, "
"instead."""

from __future__ import annotations

from transforms.notices.notice import error, warning

WORTH_A_LOOK = warning(
    "C001",
    "Something in the configuration is worth a look",
    meaning="The configuration is valid, and something in it is probably not meant, or ends soon.",
    check="'duologsync validate CONFIG' shows all of them with their keys.",
    fix="Change the key that the line names, or leave it if it is meant.",
)
LOG_FILE_UNUSABLE = error(
    "C002",
    "The log file cannot be opened",
    meaning="The program does not start: a log that nobody can read would hide everything else.",
    check="'ls -ld' of the directory that the line names.",
    fix="Let the program write there, or name another log file.",
)
WRONG_PARAMETERS = error(
    "C003",
    "Parameters of a Dataflow launch are wrong",
    meaning="Nothing was started. Each line names one parameter, all are told at once.",
    check="The parameters of the launch against docs/dataflow.md.",
    fix="Correct them and launch again.",
)
