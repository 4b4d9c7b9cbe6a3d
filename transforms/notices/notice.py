"""What every warning and error of the log is made of: a notice with a code that stays, and the one way to write it.

Place in the flow: whoever has something to say that a person should look at calls ``tell`` with a notice of the catalog
(``transforms.notices``). How the line looks is for the handlers: ``pipelines.logs`` where the program runs by itself, the
runner's own on workers, which show the text and the code in it and nothing else of ours.

Contract: a record that ``tell`` writes has the level of its notice, its code at the end of its text, and the attributes
``code`` and ``about``. Nothing else in ``transforms`` and ``pipelines`` logs above INFO; a test reads all calls. Texts never
hold a secret or what an event says: those go to DEBUG.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, TypedDict

from typing_extensions import Unpack

PREFIX = "DLS-"
RUNBOOK = "docs/runbook.md"
"""Where a notice's entry is, unless the configuration names another place."""


@dataclass(frozen=True)
class Notice:
    """Something that can be said, as the runbook explains it.

    Attributes:
      code: stable, ``DLS-D012``: a letter for the group and a number that is never given to anything else.
      level: of the standard library's logging: WARNING or ERROR.
      summary: what it is, in a few words; its heading in the runbook.
      meaning: what it means for the events.
      check: how to find the cause.
      fix: what to do, in a sentence; each line of the log shows it.
    """

    code: str
    level: int
    summary: str
    meaning: str
    check: str
    fix: str

    @property
    def anchor(self) -> str:
        """Where its entry is in the runbook."""
        return self.code.lower()


class About(TypedDict, total=False):
    """What a line is about, for who selects lines by it. A stream is written ``ACCOUNT/LOG_TYPE``."""

    account: str
    stream: object
    destination: str


def warning(code: str, summary: str, *, meaning: str, check: str, fix: str) -> Notice:
    """Something that passes, or that the program copes with."""
    return Notice(PREFIX + code, logging.WARNING, summary, meaning, check, fix)


def error(code: str, summary: str, *, meaning: str, check: str, fix: str) -> Notice:
    """Something that a person must look at."""
    return Notice(PREFIX + code, logging.ERROR, summary, meaning, check, fix)


def tell(
    logger: logging.Logger,
    notice: Notice,
    message: str,
    *args: object,
    exc_info: BaseException | bool = False,
    **about: Unpack[About],
) -> None:
    """Writes one line.

    Args:
      logger: whose line it is.
      notice: what it is; decides the level.
      message: the text with ``%`` for the arguments, a sentence or more.
      args: for the text.
      exc_info: for a bug: the error whose traceback is shown, or True for the one that is being handled.
      about: what it is about.
    """
    extra = {"code": notice.code, "about": {key: str(value) for key, value in about.items()}}
    text = f"{message} [{notice.code}]"
    logger.log(notice.level, text, *args, exc_info=exc_info or None, extra=extra, stacklevel=2)


def code_of(record: logging.LogRecord) -> str:
    """The code of what a record says; empty for what is no notice."""
    code = vars(record).get("code")
    # Other libraries' records may have an attribute of that name, of any kind.
    return code if isinstance(code, str) and code.startswith(PREFIX) else ""


def about_of(record: logging.LogRecord) -> dict[str, str]:
    """What a record says it is about."""
    told: Any = vars(record).get("about") if code_of(record) else None
    return dict(told or {})


def without_code(text: str, code: str) -> str:
    """The text of a record without its code."""
    return text.removesuffix(f" [{code}]")
