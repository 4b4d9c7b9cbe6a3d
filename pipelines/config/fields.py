"""The kinds of values that both configuration dialects are made of, and the checks that are more than a type.

Place in the flow: ``own_model`` and ``dls_model`` build their pydantic models from these.

Contract: a check raises ``problem(what, fix)``, which ``explain`` turns into a ``Problem``; no check puts a secret, or a text
that could be one, into its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from transforms.config_keys import Broken, Wrong, wrong_header_text, wrong_host, wrong_path
from transforms.process.plural import counted
from transforms.secrets import GCP_SECRET_VERSION

DUO_KEEPS_DAYS = 180

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_CHECKPOINT_OF = re.compile(r"checkpoint of (\S+)")
_DAYS_BACK = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?) days? back")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_NO_VARIABLES = "variables of the shell are not put in here"
LONGEST_VARIABLE = 30  # shown; a longer one may be a secret
_SPAN = re.compile(r"([0-9]{1,3}(?:\.[0-9]+)?) *(?:d|days?)(?: ago)?", re.IGNORECASE)
_LONGEST_LINK = 500
IKEY_CHARS = 20
SKEY_CHARS = 40


class Section(BaseModel):
    """A mapping of the file: unknown keys are refused, types are exact, and no error holds what was given."""

    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True, frozen=True, allow_inf_nan=False, defer_build=True
    )

    @classmethod
    def by_key(cls) -> dict[str, FieldInfo]:
        """Its fields by the keys of the file, of which one is no name in Python."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:  # noqa: ARG003 - for sections that have rules
        """What is wrong between the keys of this section. Looks at the plain data, which may be of any type, so that it is told
        together with what is wrong with the keys themselves.
        """
        yield from ()


def problem(what: str, fix: str) -> PydanticCustomError:
    """What a check of one value raises."""
    return PydanticCustomError("config", "{what}. {fix}", {"what": what, "fix": fix})


def _check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise problem("this is not a usable name", "Use up to 64 letters, digits, dots, dashes and underscores.")
    return value


def _check_link_base(value: str) -> str:
    if not value or len(value) > _LONGEST_LINK or not value.isprintable() or any(sign in value for sign in " #"):
        raise problem("this is no place that a link can begin with", "Write an address or a path without blanks and without #.")
    return value


def checked(find: Callable[[str], Wrong | None]) -> AfterValidator:
    """A check of ``transforms.config_keys`` for a field of a model."""

    def check(value: str) -> str:
        wrong = find(value)
        if wrong is not None:
            raise problem(*wrong)
        return value

    return AfterValidator(check)


def _check_api_host(value: str) -> str:
    host = value.lower()
    if host.startswith("admin-") and host.endswith((".duosecurity.com", ".duofederal.com")):
        raise problem(
            "this is the address of the Duo Admin Panel", "Use the API hostname of the application: it begins with api-."
        )
    return host


def _check_ikey(value: str) -> str:
    if _VARIABLE.fullmatch(value):
        raise problem(_NO_VARIABLES, "Write the key itself: it is no secret.")
    if len(value) == SKEY_CHARS:
        raise problem("this has the length of a secret key", "Write the integration key (DI…) here, and this under skey.")
    if len(value) != IKEY_CHARS:
        fix = f"An integration key has {IKEY_CHARS}. Copy it again from the application in the Duo Admin Panel."
        raise problem(f"the key has {counted(len(value), 'character')}", fix)
    if not value.startswith("DI"):
        raise problem("the key does not begin with DI", "Copy the integration key, not the secret key or another id.")
    return value


def _check_reference(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if (variable := _VARIABLE.fullmatch(text)) is not None and text.startswith("${"):
        # Of a secret that is really so written, in a file of its own, nothing is shown.
        raise problem(_NO_VARIABLES, f"Write env:{variable[1]}." if len(variable[1]) <= LONGEST_VARIABLE else "Write env:NAME.")
    scheme, _, locator = text.partition(":")
    if scheme == "env" and not _ENV_NAME.fullmatch(locator):
        raise problem("what follows env: is not the name of an environment variable", "Write env:NAME, such as env:DUO_SKEY.")
    if scheme == "file" and not locator.strip():
        raise problem("nothing follows file:", "Write file:PATH, such as file:/etc/duologsync/skey.")
    if scheme == "gcp" and not GCP_SECRET_VERSION.fullmatch(locator.strip()):
        raise problem(
            "what follows gcp: is not the name of a secret's version in Google Secret Manager",
            "Write gcp:projects/PROJECT/secrets/NAME/versions/NUMBER, or latest as the number.",
        )
    return value


def _check_skey(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()
    if text.startswith(("env:", "file:", "gcp:")):
        return value
    if len(text) == IKEY_CHARS and text.startswith("DI"):
        raise problem("this looks like an integration key", "Write the secret key here, and the integration key under ikey.")
    if (variable := _VARIABLE.fullmatch(text)) is not None and len(text) != SKEY_CHARS:
        raise problem(_NO_VARIABLES, f"Write env:{variable[1]}." if len(variable[1]) <= LONGEST_VARIABLE else "Write env:NAME.")
    if ":" in text:
        # Duo's keys are letters and digits. The word before the colon is not shown: it may be part of a secret all the same.
        raise problem(
            "what stands before the colon is no place that a secret is read from",
            "Write env:NAME, file:PATH or gcp:projects/PROJECT/secrets/NAME/versions/NUMBER; a key itself has no colon.",
        )
    if len(text) != SKEY_CHARS:
        raise problem(*wrong_skey(len(text)))
    return value


def wrong_skey(chars: int) -> tuple[str, str]:
    """What is wrong with a secret key of another length, and the fix."""
    what = f"the key has {counted(chars, 'character')}"
    return what, f"A secret key has {SKEY_CHARS}. Copy it again from the application in the Duo Admin Panel."


def _check_begin(value: str) -> str:
    days = days_back(value)
    span = _SPAN.fullmatch(value.strip())
    if span is not None and days is None:
        raise problem("this is no place to begin at", f"Write {span[1]} days back.")
    if other_destination(value) is None and (days is None or days > DUO_KEEPS_DAYS):
        fix = f"Write now, N days back with at most {DUO_KEEPS_DAYS}, or checkpoint of NAME with the name of a destination."
        raise problem("this is no place to begin at", fix)
    return value


def _no_number_to_begin_at(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise problem("a number alone is no place to begin at", f"Write {value:g} days back.")
    return value


def days_back(begin: str) -> float | None:
    """The number in ``N days back``; 0 for ``now``."""
    found = _DAYS_BACK.fullmatch(begin)
    return 0.0 if begin == "now" else float(found[1]) if found else None


def other_destination(begin: str) -> str | None:
    """The name in ``checkpoint of NAME``."""
    found = _CHECKPOINT_OF.fullmatch(begin)
    return found[1] if found else None


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, json_schema_extra={"pattern": f"^{_NAME.pattern}$"}), AfterValidator(_check_name)]
Host = Annotated[str, Field(min_length=1), checked(wrong_host)]
ApiHost = Annotated[Host, AfterValidator(_check_api_host)]
HeaderText = Annotated[str, checked(wrong_header_text)]
LinkBase = Annotated[str, AfterValidator(_check_link_base)]
FilePath = Annotated[str, Field(min_length=1), checked(wrong_path)]
Ikey = Annotated[str, Field(min_length=1, json_schema_extra={"pattern": "^DI.{18}$"}), AfterValidator(_check_ikey)]
_BEGIN = f"^(now|{_DAYS_BACK.pattern}|{_CHECKPOINT_OF.pattern})$"
Begin = Annotated[
    str, Field(json_schema_extra={"pattern": _BEGIN}), AfterValidator(_check_begin), BeforeValidator(_no_number_to_begin_at)
]
Secret = Annotated[SecretStr, Field(min_length=1), AfterValidator(_check_reference)]
Skey = Annotated[SecretStr, Field(min_length=1), AfterValidator(_check_reference), AfterValidator(_check_skey)]
OneOrMany = BeforeValidator(_one_or_many)
