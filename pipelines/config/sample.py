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

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.config.explain import keys_of, model_in
from pipelines.config.own_model import FormatSection, HeaderSection, OwnFile

_WIDTH = 100
_SHORTHANDS = (FormatSection, HeaderSection)  # a word stands for them; their keys are listed below the word
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


def _section(model: type[BaseModel], indent: str, *, optional: bool) -> Iterator[str]:
    """The keys of a section. Inside an optional section every line is a comment."""
    for key, field in keys_of(model).items():
        yield from _described(field, indent)
        yield from _key(key, field, indent, optional=optional or not (field.is_required() or _is_shown(field)))
        if not indent:
            yield ""


def _key(key: str, field: FieldInfo, indent: str, *, optional: bool) -> Iterator[str]:
    inner = model_in(field.annotation)
    mark = "# " if optional else ""
    if inner is None or inner in _SHORTHANDS:
        yield f"{indent}{mark}{key}: {_flow(_value(field))}"
        if inner:
            yield from _choices(inner, indent)
        return
    yield f"{indent}{mark}{key}:"
    if _is_list(field.annotation):
        yield from _item(inner, indent + "  ", optional=optional)
    else:
        yield from _section(inner, indent + "  ", optional=optional)


def _item(model: type[BaseModel], indent: str, *, optional: bool) -> Iterator[str]:
    """One item of a list: its first key follows the dash."""
    lines = list(_section(model, indent + "  ", optional=optional))
    first = next(i for i, line in enumerate(lines) if ":" in line and not _is_prose(line))
    mark = f"{indent}  # " if optional else f"{indent}  "
    yield from lines[:first]
    dash = f"{indent}# - " if optional else f"{indent}- "
    yield dash + lines[first].removeprefix(mark)
    yield from lines[first + 1 :]


def _choices(model: type[BaseModel], indent: str) -> Iterator[str]:
    """What a mapping can hold where one word is enough most of the time."""
    yield f"{indent}#   or a mapping with:"
    for key, field in keys_of(model).items():
        default = _default(field)
        shown = "" if default is None else f" Default: {_flow(default)}."
        yield from _wrapped(f"{key}: {field.description}{shown}", f"{indent}#     ")


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
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return json.dumps(value)
