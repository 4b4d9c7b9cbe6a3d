"""Parameters of the public transforms: from plain values, as Python, Beam YAML or a template give them, to our settings.

Place in the flow: ``ReadFromDuo``, ``FormatEvents`` and ``WriteToSiem`` make their settings here, when the pipeline is built.

Contract: raises ValueError, whose text names the transform and the parameter and says the fix. A secret is given as a
reference (``env:NAME``, ``file:PATH``, ``gcp:projects/…``), never as it is: what is given becomes part of the graph, which
runners store and show. So no error repeats the value that was given for one.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from transforms.config_keys import Check, Declared, Ge, Le, MinLen
from transforms.process.lifetime import per_process
from transforms.secrets import SecretRef

T = TypeVar("T")


class _OneAtATime:
    """Local passes build their pipelines in threads, and msgspec crashes where two of them convert to a new type."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_ONE_AT_A_TIME = per_process("conversions of parameters", _OneAtATime)


def made(settings: type[T], given: Mapping[str, Any], who: str) -> T:
    """An instance of a settings dataclass.

    Args:
      given: by the names of its fields; what is None counts as not given.
      who: the transform, and what of it, for errors.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"{who}: expected a mapping, got `{type(given).__name__}`.")  # noqa: TRY004 - as of all parameters
    fields = {field.name: field for field in dataclasses.fields(settings)}  # type: ignore[arg-type]  # a dataclass
    values = {name: value for name, value in given.items() if value is not None}
    for name in values:
        if name not in fields:
            raise ValueError(f"{who} has no parameter {name!r}. It takes: {', '.join(fields)}.")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{who} needs {name}: give {name}=….")
    if issubclass(settings, Declared):
        for broken in settings.broken_rules(values):
            raise ValueError(f"{who}: {broken.key}: {broken.what}. {broken.fix}")
    hints = get_type_hints(settings, include_extras=True)
    return settings(**{name: checked(f"{who}: {name}", hints[name], value) for name, value in values.items()})


def secret_reference(given: object, who: str) -> SecretRef:
    """Where a secret is kept, from ``SCHEME:PLACE``."""
    if isinstance(given, SecretRef):
        return given
    scheme, _, place = given.strip().partition(":") if isinstance(given, str) else ("", "", "")
    if scheme not in ("env", "file", "gcp") or not place:
        raise ValueError(
            f"{who} takes a reference to a secret, not the secret itself, because it becomes part of the pipeline. Write "
            "env:NAME for an environment variable of the workers, file:PATH or gcp:projects/P/secrets/S/versions/V."
        )
    if scheme != "file":
        return SecretRef(scheme, place)
    try:
        return SecretRef(scheme, str(Path(place).expanduser().absolute()))
    except RuntimeError:  # of somebody who is not known here
        raise ValueError(f"{who}: the path begins with a home directory that nobody has. Write the whole path.") from None


def checked(who: str, hint: Any, given: Any) -> Any:
    """A plain value as the type that a settings class declares for it."""
    kinds = _types_in(hint)
    if SecretRef in kinds:
        return secret_reference(given, who)
    section = next((kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)), None)
    if section is not None and isinstance(given, Mapping):
        return made(section, given, who)
    if section is not None and isinstance(given, (list, tuple)):
        return tuple(checked(f"{who}: {number}", section, item) for number, item in enumerate(given, 1))
    if section is not None and isinstance(given, section):
        return given
    try:
        with _ONE_AT_A_TIME.lock:
            value = msgspec.convert(given, hint)
    except msgspec.ValidationError as error:
        raise ValueError(f"{who}: {str(error)[0].lower()}{str(error)[1:].rstrip('.')}.") from None
    for kind in kinds:
        if value is not None and (broken := _broken(kind, value)) is not None:
            raise ValueError(f"{who}: {broken}")
    return value


def _broken(mark: Any, value: Any) -> str | None:
    """What is wrong with a value by one of the marks of its type, and the fix."""
    if isinstance(mark, (Ge, Le)) and math.isnan(value):
        return "it is no number. Give one."
    if isinstance(mark, Ge) and value < mark.ge:
        return f"it is too small. Give at least {mark.ge}."
    if isinstance(mark, Le) and value > mark.le:
        return f"it is too large. Give at most {mark.le}."
    if isinstance(mark, MinLen) and len(value) < mark.min_length:
        return "it is empty. Give a text."
    texts = value if isinstance(value, tuple) else (value,)
    wrong = next((found for text in texts if (found := mark.find(text)) is not None), None) if isinstance(mark, Check) else None
    return f"{wrong.what}. {wrong.fix}" if wrong is not None else None


def _types_in(hint: Any) -> list[Any]:
    """The type itself and, of a union or an annotated type, those in it."""
    return [hint, *(inner for each in get_args(hint) for inner in _types_in(each))]
