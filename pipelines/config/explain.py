"""Says what is wrong where a pydantic model refuses a file, in words that name the key, the cause and the fix.

Place in the flow: between the models and ``Findings``; used by ``loading`` for both dialects.

Contract: of the values in the file only numbers, and short texts of keys that take one of a few words, are ever shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar, get_args

from annotated_types import Ge, Le
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipelines.config.fields import Section
from pipelines.config.problems import Findings, KeyPath, listed, shown
from pipelines.config.sections import TaggedSection, chosen, sections_in

Model = TypeVar("Model", bound=Section)

# Keys that another layout or an older version has, and what is written instead.
RENAMED = {
    "adminaction": "activity",
    "admin": "activity",
    "authentication": "auth",
    "daysinpast": "start_days",
    "secret_key": "skey",
    "integration_key": "ikey",
    "is_msp": "msp",
    "protocol": "kind",
    "transport": "kind",
    "servers": "destinations",
    "account": "accounts",
    "cert_filepath": "ca_file",
    "hostname": "host",
    "tcpssl": "tls",
    "ssl": "tls",
    "start_days": "from",
}


class _Case(NamedTuple):
    """One refusal: where, what was given there, and the field that refused it (None for a list item or an unknown key)."""

    path: KeyPath
    value: Any
    field: FieldInfo | None
    parent: type[Section]
    error: ErrorDetails


def validated(model: type[Model], data: dict[str, Any], findings: Findings) -> Model | None:
    """The model with ``data`` in it; None where it, or a step before, has added a problem to ``findings``."""
    data = _without_harmless(model, data, (), findings)
    _tell_broken_rules(model, data, (), findings)
    try:
        made = model.model_validate(data)
    except ValidationError as refused:
        told = {p.key for p in findings.problems}
        for error in refused.errors(include_url=False):
            _explain(model, error, findings, told)
        return None
    return None if findings.problems else made


def _places(model: type[Section], data: Any) -> Iterator[tuple[str, tuple[type[Section], ...]]]:
    """The keys in the data of a section that hold sections, each with those that can stand there."""
    for key, field in model.by_key().items():
        inner = sections_in(field.annotation)
        if inner and key in data:
            yield key, inner


def _tell_broken_rules(model: type[Section], data: Any, path: KeyPath, findings: Findings) -> None:
    """Walks the plain data along the model, and adds each rule between keys that is broken."""
    if not isinstance(data, dict):
        return
    for key, what, fix in model.broken_rules(data):
        findings.problem((*path, key), what, fix)
    for key, inner in _places(model, data):
        if isinstance(data[key], list):
            for index, item in enumerate(data[key]):
                _tell_broken_rules(chosen(inner, item), item, (*path, key, index), findings)
        else:
            _tell_broken_rules(chosen(inner, data[key]), data[key], (*path, key), findings)


def _without_harmless(model: type[Section], data: Any, path: KeyPath, findings: Findings) -> Any:
    """The data without keys of other kinds that change nothing of this one; each is worth a notice."""
    if not isinstance(data, dict):
        return data
    kept = dict(data)
    if issubclass(model, TaggedSection):
        for key in data:
            owners = model.owners_of(key) if isinstance(key, str) else []
            if owners and all(owner.own_keys[key].harmless for owner in owners):
                what, fix = model.foreign(key) or ("", "")
                findings.notice((*path, key), what, fix)
                del kept[key]
    for key, inner in _places(model, kept):
        given = kept[key]
        if isinstance(given, list):
            kept[key] = [
                _without_harmless(chosen(inner, item), item, (*path, key, index), findings) for index, item in enumerate(given)
            ]
        else:
            kept[key] = _without_harmless(chosen(inner, given), given, (*path, key), findings)
    return kept


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    words = list(known)
    renamed = RENAMED.get(word.lower())
    if renamed in words:
        return renamed
    by_lower = {w.lower(): w for w in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def unknown_name(word: str, known: Iterable[str], thing: str) -> tuple[str, str]:
    """What is said about a name that refers to nothing, and the fix."""
    names = list(known)
    guess = nearest(word, names)
    what = f"there is no {thing} named {shown(word)}" if shown(word) == word else f"there is no {thing} of that name"
    if guess:
        return what, f"Did you mean {guess}?"
    return what, f"Use {listed(names)}." if names else f"Add a {thing} of that name."


def _explain(model: type[Section], error: ErrorDetails, findings: Findings, told: set[str]) -> None:
    path, field, parent = _at(model, error["loc"])
    case = _Case(path, error["input"], field, parent, error)
    what, fix = _WORDS.get(error["type"], _other)(case)
    if error["type"] == "missing":
        if path in findings.places:
            what, fix = "is empty", _filled_in(case)
    else:
        path = findings.known_part(path)
    _add(findings, path, (what, fix), told)


def _add(findings: Findings, path: KeyPath, words: tuple[str, str], told: set[str]) -> None:
    before = len(findings.problems)
    findings.problem(path, *words)
    if findings.problems[before].key in told:  # the reader has already said what is odd about this value
        findings.problems.pop()


def _at(model: type[Section], loc: tuple[str | int, ...]) -> tuple[KeyPath, FieldInfo | None, type[Section]]:
    """Where in the file pydantic means, the field there, and the section that has it. Between the key of a section that is one
    of several and the keys in it, pydantic puts the word that chose it.
    """
    path: list[str | int] = []
    field: FieldInfo | None = None
    parent = model
    inside: tuple[type[Section], ...] = (model,)
    for part in loc:
        if isinstance(part, str) and len(inside) > 1:
            inside = tuple(s for s in inside if issubclass(s, TaggedSection) and s.tag == part)
            continue
        path.append(part)
        if isinstance(part, str):
            parent = inside[0] if inside else parent
            field = parent.by_key().get(part) if inside else None
            inside = sections_in(field.annotation) if field else ()
    return tuple(path), field, parent


def _bounds(field: FieldInfo | None) -> tuple[Any, Any]:
    """The least and the greatest number that a field takes."""
    marks = list(_marks(field.annotation)) + list(field.metadata) if field else []
    flat = [m for mark in marks for m in (mark.metadata if isinstance(mark, FieldInfo) else [mark])]
    least = next((m.ge for m in flat if isinstance(m, Ge)), None)
    most = next((m.le for m in flat if isinstance(m, Le)), None)
    return least, most


def _marks(annotation: Any) -> Iterable[Any]:
    for arg in get_args(annotation):
        yield arg
        yield from _marks(arg)


def _missing(case: _Case) -> tuple[str, str]:
    description = case.field.description if case.field else None
    return "is missing", f"Add it. {description}" if description else "Add it."


def _extra(case: _Case) -> tuple[str, str]:
    foreign = case.parent.foreign(str(case.path[-1])) if issubclass(case.parent, TaggedSection) else None
    if foreign is not None:
        return foreign
    known = list(case.parent.by_key())
    word = str(case.path[-1])
    below = [key for key, inner in _sections_below(case.parent) if any(word in section.by_key() for section in inner)]
    if below:
        return f"this key belongs to {listed(below)}", f"Write it below {below[0]}, indented, and not beside it."
    guess = nearest(word, known)
    fix = f"Did you mean {guess}?" if guess else f"Use {listed(known)}, or remove it."
    return "this key is not known here", fix


def _sections_below(parent: type[Section]) -> Iterator[tuple[str, tuple[type[Section], ...]]]:
    """The keys of a section under which other sections stand."""
    for key, field in parent.by_key().items():
        if inner := sections_in(field.annotation):
            yield key, inner


def _out_of_range(case: _Case) -> tuple[str, str]:
    least, most = _bounds(case.field)
    noun = "a port" if str(case.path[-1]).endswith("port") else "a number"
    span = f"from {least} to {most}" if most is not None else f"of at least {least}"
    return f"{shown(case.value)} is out of range", f"Use {noun} {span}."


def _literal(case: _Case) -> tuple[str, str]:
    expected = str(case.error["ctx"]["expected"])
    words = re.findall(r"'([^']+)'", expected) or [expected]
    if not isinstance(case.value, str):
        return f"must be {listed(words)}, but is {_kind(case.value)}", _hint(case.value, "text")
    if not case.value:
        return "is empty", f"Use {listed(words)}."
    what = f"{shown(case.value)} is not one of the known words"
    guess = nearest(case.value, words)
    return what, f"Did you mean {guess}?" if guess else f"Use {listed(words)}."


def _wrong_kind(wanted: str, kind: str) -> Callable[[_Case], tuple[str, str]]:
    def words(case: _Case) -> tuple[str, str]:
        fix = _with_unit(str(case.path[-1]), case.value) if case.path else None
        return f"must be {wanted}, but is {_kind(case.value)}", fix or _hint(case.value, kind)

    return words


def _kind(value: object) -> str:
    kinds = (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "empty")


_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(s|secs?|seconds?|m|min|minutes?|h|hours?|d|days?)", re.IGNORECASE)
_SECS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _with_unit(key: str, value: object) -> str | None:
    """What to write for ``30d`` or ``2m`` under a key that names its unit; None where it is nothing like that."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    unit, secs = ("days", 86_400) if key.endswith("_days") else ("seconds", 1) if key.endswith("_secs") else ("", 0)
    if found is None or not secs:
        return None
    return f"Write {float(found[1]) * _SECS[found[2][0].lower()] / secs:g}: it is a number of {unit}."


def _hint(value: object, wanted: str) -> str:
    if wanted == "text" and isinstance(value, bool):
        return "YAML reads yes, no, on and off as true or false. Put it in quotes."
    if wanted == "text" and isinstance(value, (int, float)):
        return "Put it in quotes."
    if wanted == "number" and isinstance(value, str) and re.fullmatch(r"\s*[0-9]+(\.[0-9]+)?\s*", value):
        return "Write the number without quotes."
    if wanted == "whole" and isinstance(value, str) and re.fullmatch(r"\s*[0-9]+\s*", value):
        return "Write the number without quotes."
    if wanted == "bool" and isinstance(value, str) and value.strip().lower() in {"true", "false", "yes", "no", "on", "off"}:
        return "Write it without quotes."
    return _EXAMPLES[wanted]


_EXAMPLES = {
    "text": "Write one text.",
    "number": "Write digits, with a decimal point where needed.",
    "whole": "Write digits only.",
    "bool": "Write true or false.",
    "list": "Write [a, b], or one item a line, each after a dash.",
    "mapping": "Write its keys below it, indented.",
}


def _nothing_in_it(case: _Case) -> tuple[str, str]:
    return ("is an empty list", "Name at least one.") if isinstance(case.value, list) else ("is empty", _filled_in(case))


def _too_long(case: _Case) -> tuple[str, str]:
    return "is too long", f"Use at most {case.error['ctx']['max_length']} characters."


def _own_words(case: _Case) -> tuple[str, str]:
    return str(case.error["ctx"]["what"]), str(case.error["ctx"]["fix"])


def _not_whole(case: _Case) -> tuple[str, str]:
    if isinstance(case.value, float):
        return "must be a whole number, but has a fraction", "Write digits only."
    return _wrong_kind("a whole number", "whole")(case)


def _filled_in(case: _Case) -> str:
    return f"Fill it in: {case.field.description}" if case.field and case.field.description else "Fill it in."


def _other(case: _Case) -> tuple[str, str]:
    return "is not valid", _described(case)


def _described(case: _Case) -> str:
    return case.field.description if case.field and case.field.description else "Write it again."


_WORDS: dict[str, Callable[[_Case], tuple[str, str]]] = {
    "missing": _missing,
    "extra_forbidden": _extra,
    "greater_than_equal": _out_of_range,
    "less_than_equal": _out_of_range,
    "finite_number": _out_of_range,
    "literal_error": _literal,
    "string_type": _wrong_kind("a text", "text"),
    "int_type": _not_whole,
    "int_from_float": _not_whole,
    "float_type": _wrong_kind("a number", "number"),
    "bool_type": _wrong_kind("true or false", "bool"),
    "list_type": _wrong_kind("a list", "list"),
    "model_type": _wrong_kind("a mapping", "mapping"),
    "model_attributes_type": _wrong_kind("a mapping", "mapping"),
    "dict_type": _wrong_kind("a mapping", "mapping"),
    "too_short": _nothing_in_it,
    "string_too_short": _nothing_in_it,
    "string_too_long": _too_long,
    "config": _own_words,
}
