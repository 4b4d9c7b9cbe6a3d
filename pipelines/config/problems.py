"""What is said about a configuration file: problems, which stop, and notices, which do not.

Place in the flow: every step of ``pipelines.config`` adds to a ``Findings``; ``load`` raises ``ConfigProblems`` with all of
them at once, or hands the notices back.

Contract: a finding never holds the value of a secret, nor the value of a key that is not known (it may be a misspelt secret).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from transforms.errors import FatalError

KeyPath = tuple[str | int, ...]

_MAX_SHOWN = 32  # shorter than a Duo secret key, so that one in the wrong place is not shown either
_KEY_LIKE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,29}")


class Place(NamedTuple):
    """A place in the file, counted from 1 as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about the file.

    Attributes:
      file: the file as the user named it; None where only a Job was looked at.
      line, column: counted from 1; None where the finding is about the whole file.
      key: dotted path of the key, ``servers.0.port``; empty where there is none.
      what: what is wrong, to be read after the key, without a full stop.
      fix: what to do about it, in whole sentences.
    """

    file: Path | None
    line: int | None
    column: int | None
    key: str
    what: str
    fix: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, self.key, f"{self.what}. {self.fix}") if part)


class Problem(Finding):
    """A finding with which the program does not start."""

    __slots__ = ()


class Notice(Finding):
    """A finding that the user should know; the program starts."""

    __slots__ = ()


class Unseen(Notice):
    """A secret that cannot be read from here, and perhaps where the program runs."""

    __slots__ = ()


F = TypeVar("F", bound=Finding)


class ConfigProblems(FatalError):
    """The configuration cannot be used; ``problems`` says everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[ConfigProblems], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


@dataclass
class Findings:
    """Collects what is found in one file, and knows where each key of it is."""

    file: Path | None = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def problem(self, path: KeyPath, what: str, fix: str, *, place: Place | None = None) -> None:
        """Adds a problem; without ``place`` it is at the key, or at the nearest parent that the file has."""
        line, column = place or self.place_of(path) or (None, None)
        self.problems.append(Problem(self.file, line, column, dotted(path), what, fix))

    def notice(self, path: KeyPath, what: str, fix: str) -> None:
        """Adds a notice at the key, or at the nearest parent that the file has."""
        line, column = self.place_of(path) or (None, None)
        self.notices.append(Notice(self.file, line, column, dotted(path), what, fix))

    def unseen(self, path: KeyPath, what: str, fix: str) -> None:
        """Adds a notice of a secret that cannot be read from here."""
        line, column = self.place_of(path) or (None, None)
        self.notices.append(Unseen(self.file, line, column, dotted(path), what, fix))

    def place_of(self, path: KeyPath) -> Place | None:
        """Where the key is, or the nearest parent that is in the file."""
        return self.places.get(self.known_part(path))

    def known_part(self, path: KeyPath) -> KeyPath:
        """The longest beginning of ``path`` that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return path

    def raise_if_any(self) -> None:
        """Raises ConfigProblems where a problem was found, in the order of the file."""
        if self.problems:
            raise ConfigProblems(in_order(self.problems))


def in_order(findings: Iterable[F]) -> tuple[F, ...]:
    """In the order of the file, each once; those without a line first."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.line or 0, f.column or 0)))


def dotted(path: KeyPath) -> str:
    """``servers.0.port``. A key that does not look like one is not shown: it may be a secret in the wrong place."""
    return ".".join(str(part) if isinstance(part, int) else shown_key(part) for part in path)


def shown_key(key: str) -> str:
    """A key as it can be shown."""
    return key if _KEY_LIKE.fullmatch(key) else "<key>"


def shown(value: object) -> str:
    """A value of a key that is known and not secret, as it can be shown; nothing where it is too long to be shown safely."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return "the value"
    text = str(value)
    return text if text.isprintable() and 0 < len(text) <= _MAX_SHOWN else "the value"


def listed(words: Iterable[str]) -> str:
    """``a, b or c``."""
    *most, last = list(words)
    return f"{', '.join(most)} or {last}" if most else last
