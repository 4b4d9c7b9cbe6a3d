"""JSON objects inside JSON objects, written by a table: for formats whose fields have paths, ECS and OCSF.

Place in the flow: such a format is tables of ``Leaf``; ``Tree`` reads the facts that a table names and makes the object.

Contract: what is not there (None, "", an empty list) is left out, and so is an object that nothing is left in. Nothing of a row
can become a name: those are the table's, except in objects that are one fact of Duo's and are written as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from transforms.facts import EventFacts, Truth

encode = msgspec.json.Encoder().encode
"""An object → its JSON text, one line of UTF-8: control characters become their escapes."""

_MOST_DIGITS = 18
_DEEPEST = 20


class Leaf(NamedTuple):
    """One field and the fact that it holds.

    Attributes:
      place: the path of the field, ``source.user.name``.
      path: of the fact, from ``EventFacts`` on.
      value: makes what is written of a fact that is there; None for facts that are written as they are.
    """

    place: str
    path: str
    value: Callable[[Any], Any] | None = None


class Tree:
    """Makes objects by a table."""

    def __init__(self, table: Iterable[Leaf]) -> None:
        leaves = tuple(table)
        places = [tuple(leaf.place.split(".")) for leaf in leaves]
        # Objects have numbers, each a larger one than the object that it is in; the whole has 0.
        objects: dict[tuple[str, ...], int] = {(): 0}
        for place in places:
            for length in range(1, len(place)):
                objects.setdefault(place[:length], len(objects))
        if len({*places, *objects}) < len(places) + len(objects):
            raise ValueError("The table has a field twice, or one that is an object, too.")
        self._names = tuple(place[-1] for place in places)
        self._in = tuple(objects[place[:-1]] for place in places)
        self._objects = tuple((place[-1], objects[place[:-1]]) for place in objects if place)
        self._facts_of = attrgetter(*(leaf.path for leaf in leaves))
        self._made = tuple((number, leaf.value) for number, leaf in enumerate(leaves) if leaf.value)

    def __call__(self, facts: EventFacts) -> dict[str, Any]:
        """The object."""
        found = [*self._facts_of(facts)]
        for number, value in self._made:
            if found[number] is not None:
                found[number] = value(found[number])
        made: list[dict[str, Any] | None] = [{}] + [None] * len(self._objects)
        for name, number, fact in zip(self._names, self._in, found, strict=True):
            if fact or fact == 0:
                inner = made[number]
                if inner is None:
                    made[number] = inner = {}
                inner[name] = fact
        return self._joined(made)

    def _joined(self, made: list[dict[str, Any] | None]) -> dict[str, Any]:
        for number in range(len(self._objects), 0, -1):
            inner = made[number]
            if inner is not None:
                name, outer_number = self._objects[number - 1]
                outer = made[outer_number]
                if outer is None:
                    made[outer_number] = outer = {}
                outer[name] = inner
        whole = made[0]
        assert whole is not None
        return whole


def truth(value: Truth) -> bool | None:
    """A truth value; None where Duo does not know."""
    return value if isinstance(value, bool) else {"true": True, "false": False}.get((value or "").lower())


def whole_number(number: float | str) -> int | None:
    """A number that every reader can hold; None for texts and for what is too large."""
    if isinstance(number, str):
        return int(number) if number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS else None
    return int(number) if abs(number) < 10**_MOST_DIGITS else None


def small_number(number: int) -> int | None:
    """A whole number of at most 32 bits."""
    return number if -(2**31) <= number < 2**31 else None


def parsed(text: str) -> Any:
    """What Duo sends as a JSON text, as the object that it is; other words as an object that holds them as ``text``.

    So is an object with more than twenty objects one inside the other, or with NUL in it: readers do not take them.
    """
    if text.lstrip()[:1] != "{" or "\\u0000" in text:
        return {"text": text} if text else None
    try:
        return filled(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {"text": text}


def told(group: msgspec.Struct) -> dict[str, Any]:
    """A group of facts as an object, without what is not there."""
    return {name: fact for name, fact in msgspec.structs.asdict(group).items() if fact or fact == 0}


def all_told(groups: Iterable[msgspec.Struct]) -> list[dict[str, Any]]:
    """Several of them, without those that say nothing."""
    return [inner for group in groups if (inner := told(group))]


def filled(value: Any, room: int = _DEEPEST) -> Any:
    """A JSON value without anything empty in it; None where it is all empty. Raises RecursionError where it is too deep."""
    if room == 0:
        raise RecursionError("There are too many objects inside one another.")
    if isinstance(value, dict):
        inner = {key: kept for key, each in value.items() if (kept := filled(each, room - 1)) is not None}
        return inner or None
    if isinstance(value, list):
        return [kept for each in value if (kept := filled(each, room - 1)) is not None] or None
    return None if value == "" else value
