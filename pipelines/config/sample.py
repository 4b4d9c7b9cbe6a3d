"""A commented sample of our own configuration file, generated from the descriptions in the model.

Place in the flow: ``duologsync schema --sample`` prints it; ``docs/config.sample.yml`` is its committed copy, which a test
keeps current.

Contract: the sample is a valid file. What must be given is given; everything else is a comment that shows its default, or an
example where there is none.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.config.fields import Section
from pipelines.config.own_model import FormatSection, HeaderSection, OwnFile
from pipelines.config.problems import listed
from pipelines.config.sections import TaggedSection, sections_in

_WIDTH = 100
_SHORTHANDS = (FormatSection, HeaderSection)  # a word stands for them; their keys are listed below the word
_NOT_FIRST = "{[@*&!|>%`'\"#"  # of a text without quotes, in YAML
_FIRST = "tls"  # the kind of destination that is shown with all its keys
_HEAD = """\
# Configuration of Duo Log Sync on Apache Beam.
#
# Lines that begin with "# key:" are optional and show the default, or an example where there is no default.
# A secret is best kept elsewhere: env:NAME is an environment variable, file:PATH is a file, and Google Secret Manager
# (with the extra [gcp]) is gcp:projects/PROJECT/secrets/NAME/versions/NUMBER.
# Check this file with: duologsync validate FILE
"""


def sample_yaml() -> str:
    """The sample, without a line break at its end."""
    return "\n".join([_HEAD, *_section(OwnFile, "", optional=False)]).rstrip("\n")


def _section(model: type[Section], indent: str, *, optional: bool) -> Iterator[str]:
    """The keys of a section. Inside an optional section every line is a comment."""
    for key, field in _fields(model):
        yield from _described(field, indent)
        yield from _key(key, field, indent, optional=optional or not (field.is_required() or _is_shown(field)))
        if not indent:
            yield ""


def _fields(model: type[Section]) -> list[tuple[str, FieldInfo]]:
    """In the order of the model; of a section that is one of several, what must be given and what is its own come first."""
    fields = list(model.by_key().items())
    if not issubclass(model, TaggedSection):
        return fields

    def rank(item: tuple[str, FieldInfo]) -> tuple[bool, bool, bool]:
        key, field = item
        return key not in model.lead_keys, not field.is_required(), key not in model.own_keys

    return sorted(fields, key=rank)


def _key(key: str, field: FieldInfo, indent: str, *, optional: bool) -> Iterator[str]:
    inner = [section for section in sections_in(field.annotation) if not section.__name__.startswith("Unknown")]
    mark = "# " if optional else ""
    if not inner or issubclass(inner[0], _SHORTHANDS):
        yield f"{indent}{mark}{key}: {_flow(_value(field))}"
        if inner:
            yield from _choices(inner, indent)
        return
    yield f"{indent}{mark}{key}:"
    if not _is_list(field.annotation):
        yield from _section(inner[0], indent + "  ", optional=optional)
        for other in inner[1:]:
            if issubclass(other, TaggedSection):
                yield from _other_section(other, inner[0], indent + "  ")
        return
    first = next((s for s in inner if issubclass(s, TaggedSection) and s.tag == _FIRST), inner[0])
    yield from _item(first, indent + "  ", optional=optional)
    for other in inner:
        if other is not first and issubclass(other, TaggedSection):
            yield from _other_item(other, first, indent + "  ")


def _item(model: type[Section], indent: str, *, optional: bool) -> Iterator[str]:
    """One item of a list: its first key follows the dash."""
    lines = list(_section(model, indent + "  ", optional=optional))
    first = next(i for i, line in enumerate(lines) if ":" in line and not _is_prose(line))
    mark = f"{indent}  # " if optional else f"{indent}  "
    yield from lines[:first]
    dash = f"{indent}# - " if optional else f"{indent}- "
    yield dash + lines[first].removeprefix(mark)
    yield from lines[first + 1 :]


def _other_item(model: type[TaggedSection], first: type[Section], indent: str) -> Iterator[str]:
    """An item of another kind, as a comment: what must be given, and what the first one has not shown."""
    yield ""
    yield from _wrapped(f"{model.tag_key}: {model.tag}. {model.__doc__}", f"{indent}## ")
    for index, (key, field) in enumerate(_fields(model)):
        if key not in first.model_fields:
            yield from _described(field, f"{indent}  ")
            yield from _key(key, field, f"{indent}  ", optional=True)
        elif field.is_required():
            value = model.tag if key == model.lead_keys[0] else _value(field)
            yield f"{indent}{'  # ' if index else '# - '}{key}: {_flow(value)}"


def _other_section(model: type[TaggedSection], first: type[Section], indent: str) -> Iterator[str]:
    """What a section of another kind takes, in words: only one of them can stand there."""
    yield from _wrapped(f"{model.tag_key}: {model.tag}. {model.__doc__}", f"{indent}## ")
    for key, field in _fields(model):
        if key not in first.model_fields:
            default = _default(field)
            shown = "" if default is None else f" Default: {_flow(default)}."
            yield from _wrapped(f"{key}: {field.description}{shown}", f"{indent}##   ")


def _choices(models: list[type[Section]], indent: str) -> Iterator[str]:
    """What a mapping can hold where one word is enough most of the time."""
    yield f"{indent}#   or a mapping with:"
    fields = {key: field for model in models for key, field in _fields(model)}
    owners = {key: [m.tag for m in models if issubclass(m, TaggedSection) and key in m.own_keys] for key in fields}
    for key, field in fields.items():
        only = f"{listed(owners[key])} only. " if owners[key] else ""
        default = _default(field)
        shown = "" if default is None else f" Default: {_flow(default)}."
        yield from _wrapped(f"{key}: {only}{field.description}{shown}", f"{indent}#     ")


def _described(field: FieldInfo, indent: str) -> Iterator[str]:
    yield from _wrapped(field.description or "", f"{indent}## ")


def _wrapped(text: str, start: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False)


def _is_prose(line: str) -> bool:
    return line.lstrip().startswith("##")


def _is_shown(field: FieldInfo) -> bool:
    """Whether an optional key is written out: where its example is its default, as with the name of the only account."""
    return field.examples is not None and _default(field) in field.examples


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(arg) for arg in get_args(annotation))


def _default(field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=False)
    return None if default is PydanticUndefined or default == "" else default


def _value(field: FieldInfo) -> Any:
    default = _default(field)
    return field.examples[0] if default is None and field.examples else default


def _flow(value: Any) -> str:
    """A value on one line: JSON is YAML, and a plain text needs no quotes."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value and ": " not in value and value[0] not in _NOT_FIRST:
        return value
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return json.dumps(value)
