"""What a new configuration file is made of: answers, each checked by the model as soon as it is given.

Place in the flow: ``pipelines.commands.init`` asks people, or takes flags; here stands what is known of a key, and what is
wrong with an answer.

Contract: an answer is wrong here for the same reasons, and told in the same words, as in a file (``explain``). A secret is only
ever taken as a reference: what is written into the file may be copied, mailed and kept in version control.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from pipelines.config import own
from pipelines.config.explain import validated
from pipelines.config.fields import Section
from pipelines.config.own_model import OwnFile
from pipelines.config.problems import Findings, KeyPath, Place, Problem, dotted
from pipelines.config.sections import chosen, sections_in, types_in

_REFERENCES = ("env:", "file:", "gcp:")
_HEAD = """\
# Configuration of Duo Log Sync on Apache Beam, made by `duologsync init`.
# Every other key, with its default: duologsync schema --sample
"""


@dataclass(frozen=True)
class Wrong:
    """Why an answer is not taken."""

    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.what}. {self.fix}"


class Interview:
    """The answers so far.

    Attributes:
      data: as the file will hold them.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {"version": 2, "accounts": [{}], "destinations": [{"name": "siem"}]}

    def problems(self) -> list[Problem]:
        """What is wrong with the answers, and what is still missing."""
        findings = Findings(places=dict.fromkeys(_keys_in(self.data), Place(1, 1)))
        own.check_names(self.data, findings)
        validated(OwnFile, self.data, findings)
        return list({problem.key: problem for problem in reversed(findings.problems)}.values())[::-1]

    def missing(self) -> list[KeyPath]:
        """Keys that must be given and are not, in the order in which they would be asked for."""
        found = [tuple(_part(part) for part in problem.key.split(".")) for problem in self.problems()]
        return [path for path in dict.fromkeys(found) if self.given(path) is None and self.field_of(path) is not None]

    def given(self, path: KeyPath) -> Any:
        """The answer at a key; None where there is none."""
        node: Any = self.data
        for part in path:
            inside = isinstance(node, dict) and part in node
            listed = isinstance(node, list) and isinstance(part, int) and 0 <= part < len(node)
            if not inside and not listed:
                return None
            node = node[part]
        return node

    def answer(self, path: KeyPath, text: str) -> Wrong | None:
        """Takes an answer as people type it; why not, where it is wrong."""
        if self.is_secret(path) and not text.startswith(_REFERENCES):
            return Wrong("no secret is written into the file", "Write env:NAME or file:PATH, and keep the secret there.")
        before = self.given(path)
        wrong: list[Problem] = []
        for value in _readings(text):
            self._set(path, value)
            found = [each for each in self.problems() if each.key == dotted(path) or each.key.startswith(f"{dotted(path)}.")]
            if not found:
                return None
            wrong.append(found[0])
        self._set(path, before)
        # That a text is no list is said of a reading that nobody meant.
        told = next((each for each in wrong if not each.what.startswith("must be ")), wrong[0])
        return Wrong(told.what, told.fix)

    def forget(self, path: KeyPath) -> None:
        """Takes an answer back."""
        self._set(path, None)

    def field_of(self, path: KeyPath) -> FieldInfo | None:
        """What the model knows of a key: of a destination, by its kind."""
        section: type[Section] = OwnFile
        field: FieldInfo | None = None
        for index, part in enumerate(path):
            if isinstance(part, int):
                continue
            field = section.by_key().get(part)
            inner = sections_in(field.annotation) if field is not None else ()
            if inner:
                rest = path[: index + 1] if index + 1 == len(path) or isinstance(path[index + 1], str) else path[: index + 2]
                section = chosen(inner, self.given(rest))
        return field

    def is_secret(self, path: KeyPath) -> bool:
        """Whether a key holds a secret."""
        field = self.field_of(path)
        return field is not None and SecretStr in types_in(field.annotation)

    def text(self) -> str:
        """The file."""
        ordered = {**self.data, "destinations": [_in_order(each) for each in self.data["destinations"]]}
        return _HEAD + yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True, width=120)

    def _set(self, path: KeyPath, value: Any) -> None:
        node: Any = self.data
        for part, following in itertools.pairwise(path):
            if isinstance(node, list):
                assert isinstance(part, int)
                node = node[part] if part < len(node) else _appended(node)
            else:
                node = node.setdefault(part, [{}] if isinstance(following, int) else {})
        if value is None:
            node.pop(path[-1], None)
        else:
            node[path[-1]] = value


def _keys_in(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key of the answers: a finding is told at the nearest one that is there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in items:
        yield (*path, part)
        yield from _keys_in(inner, (*path, part))


def _in_order(destination: dict[str, Any]) -> dict[str, Any]:
    """As people read it: what it is, where it is, and last how events are written."""
    rest = [key for key in destination if key not in ("name", "kind", "format")]
    return {key: destination[key] for key in ("name", "kind", *rest, "format")}


def _appended(items: list[Any]) -> Any:
    items.append({})
    return items[-1]


def _part(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def path_of(text: str) -> KeyPath:
    """``accounts.0.port`` as a path."""
    return tuple(_part(part) for part in text.split("."))


def _readings(text: str) -> list[Any]:
    """What an answer can mean, the likeliest first: the text itself, a number or a truth value, a list."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        read = text
    meant: list[Any] = [text]
    if isinstance(read, (int, float, bool, list)):
        meant.append(read)
    if "," in text:
        meant.append([part.strip() for part in text.split(",") if part.strip()])
    return meant if isinstance(read, (int, float, bool, list)) or "," in text else [text, [text]]
