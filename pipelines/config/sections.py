"""Sections of the file that are made from settings classes, and the choice between them by one word.

Place in the flow: ``own_model`` makes the sections of all kinds of destinations and of all formats with ``tagged``; ``own``
turns a validated section back into its settings with ``settings_of``. What a settings class may declare is said in
``transforms.config_keys``.

Contract: a section takes exactly the keys that its class declares, beside those of its base. Where the word is missing or not
known, all keys of all sections are taken, so that what is wrong with their values is told at the same time.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Discriminator, Field, Tag, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema

from pipelines.config.fields import Secret, Section, checked
from pipelines.config.problems import Findings, KeyPath, listed
from pipelines.config.references import Surroundings
from transforms.config_keys import Broken, Check, Declared, Doc, LocalPath
from transforms.secrets import SecretRef

D = TypeVar("D", bound=Declared)
_UNKNOWN = "?"  # no word of the file: the tag of the section that takes the keys of all
_NOT_IN_SCHEMA: Any = SkipJsonSchema()  # type: ignore[type-arg]  # a class that pydantic declares as a type


class DeclaredSection(Section):
    """A section that is made from a settings class."""

    declared: ClassVar[type[Declared]] = Declared

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        yield from cls.declared.broken_rules(given)


class TaggedSection(DeclaredSection):
    """One of several sections; which, is said by the word under one of its keys.

    Attributes:
      tag_key: that key.
      lead_keys: those that the sample shows first.
      tag: the word.
      own_keys: the keys that its settings class declares.
      siblings: all sections that can be chosen.
    """

    tag_key: ClassVar[str]
    lead_keys: ClassVar[tuple[str, ...]]
    tag: ClassVar[str] = _UNKNOWN
    own_keys: ClassVar[Mapping[str, Doc]] = MappingProxyType({})
    siblings: ClassVar[tuple[type[TaggedSection], ...]] = ()

    @classmethod
    def leaves(cls, but: Collection[str] = ()) -> Iterator[tuple[str, FieldInfo]]:
        """The keys that the sections to choose from have of their own, and those in them, dotted; but those of some words."""
        for section in cls.siblings:
            for key in section.own_keys if section.tag not in but else ():
                yield from _leaves(key, section.model_fields[key])

    @classmethod
    def owners_of(cls, key: str) -> list[type[TaggedSection]]:
        """The other sections that have a key which this one has not."""
        return [] if key in cls.model_fields else [section for section in cls.siblings if key in section.own_keys]

    @classmethod
    def foreign(cls, key: str) -> tuple[str, str] | None:
        """What is said of a key that only other sections have, and the fix; None where none has it."""
        owners = cls.owners_of(key)
        if not owners:
            return None
        words = listed(owner.tag for owner in owners)
        what = owners[0].own_keys[key].elsewhere or f"this key is for {cls.tag_key} {words}"
        return what, f"Remove it, or use {cls.tag_key}: {owners[0].tag}."


def sections_in(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a type is made of: itself, or what a list, an optional or a choice holds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return (annotation,)
    return tuple(found for arg in get_args(annotation) for found in sections_in(arg))


def _leaves(key: str, field: FieldInfo) -> Iterator[tuple[str, FieldInfo]]:
    inner = sections_in(field.annotation)
    if not inner:
        yield key, field
    for section in inner:
        for name, each in section.model_fields.items():
            yield from _leaves(f"{key}.{name}", each)


def chosen(options: tuple[type[Section], ...], data: Any) -> type[Section]:
    """The one of the sections at a place of the file that its data mean."""
    first = options[0]
    if not issubclass(first, TaggedSection):
        return first
    tag = _tag_of(first.tag_key, {section.tag for section in first.siblings}, data)
    return next(section for section in options if issubclass(section, TaggedSection) and section.tag == tag)


def tagged(base: type[TaggedSection], classes: Mapping[str, type[Declared]], description: str, example: str) -> Any:
    """A type for a model: one section for each word, made of the base's keys and of those that the word's class declares."""
    sections = tuple(_tagged_section(base, word, declared, description) for word, declared in classes.items())
    unknown = _unknown_section(base, sections, description, example)
    for section in (base, *sections, unknown):
        section.siblings = sections
    options: list[Any] = [Annotated[section, Tag(section.tag)] for section in sections]
    options.append(Annotated[unknown, Tag(_UNKNOWN), _NOT_IN_SCHEMA])
    words = set(classes)
    return Annotated[Union[tuple(options)], Discriminator(lambda data: _tag_of(base.tag_key, words, data))]  # noqa: UP007


def settings_of(declared: type[D], section: Section, key: KeyPath, around: Surroundings, findings: Findings) -> D:
    """The settings that a validated section means. Key is where it stands in the file."""
    values = {}
    for each in _keys_of(declared):
        value = getattr(section, each.name)
        if value is not None:  # else the class has a default
            values[each.name] = _value(each, value, (*key, each.name), around, findings)
    return declared(**values)


def secret_of(value: Any, key: KeyPath, around: Surroundings, findings: Findings) -> SecretRef:
    """The reference that the file means; a notice where it holds the secret itself."""
    reference = around.secret(value, key, findings)
    if reference.scheme == "config":
        findings.notice(key, "the secret itself is written here", "Better write env:NAME or file:PATH.")
    return reference


@dataclasses.dataclass(frozen=True, slots=True)
class _Key:
    """A field of a settings class that is a key of the file."""

    name: str
    annotation: Any
    doc: Doc
    default: Any  # dataclasses.MISSING where there is none

    @property
    def nested(self) -> type[Declared] | None:
        """The settings class that makes a section of it."""
        return next((t for t in types_in(self.annotation) if isinstance(t, type) and issubclass(t, Declared)), None)


def _keys_of(declared: type[Declared]) -> Iterator[_Key]:
    hints = get_type_hints(declared, include_extras=True)
    for field in dataclasses.fields(declared):  # type: ignore[arg-type]  # each is a dataclass, as the contract says
        doc = next((mark for mark in getattr(hints[field.name], "__metadata__", ()) if isinstance(mark, Doc)), None)
        if doc is not None:
            factory = field.default_factory
            yield _Key(field.name, hints[field.name], doc, field.default if factory is dataclasses.MISSING else factory())


def types_in(annotation: Any) -> Iterator[Any]:
    """The type itself, and what it is made of, marks included."""
    yield annotation
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
        yield from types_in(annotation.__origin__)
        return
    if get_origin(annotation) is not None:
        yield get_origin(annotation)
    for each in get_args(annotation):
        yield from types_in(each)


def _value(each: _Key, value: Any, key: KeyPath, around: Surroundings, findings: Findings) -> Any:
    types = list(types_in(each.annotation))
    if each.nested is not None and isinstance(value, list):
        return tuple(settings_of(each.nested, item, (*key, i), around, findings) for i, item in enumerate(value))
    if each.nested is not None:
        return settings_of(each.nested, value, key, around, findings)
    if SecretRef in types:
        return secret_of(value, key, around, findings)
    if any(isinstance(mark, LocalPath) for mark in types):
        return around.path(value)
    return tuple(value) if isinstance(value, list) else value


def _tag_of(key: str, words: set[str], data: Any) -> str:
    word = data.get(key) if isinstance(data, dict) else getattr(data, key, None)
    return word if isinstance(word, str) and word in words else _UNKNOWN


def _tagged_section(base: type[TaggedSection], word: str, declared: type[Declared], description: str) -> type[TaggedSection]:
    keys = list(_keys_of(declared))
    title = f"{word.title()}{base.__name__.removesuffix('Section')}Section"
    definitions = {each.name: _field(each) for each in keys}
    if taken := base.model_fields.keys() & definitions.keys():
        raise ValueError(f"{declared.__name__} declares {', '.join(sorted(taken))}, which every {base.tag_key} has.")
    tag = (Literal[word], Field(description=description, examples=[word]))
    section = _made(title, base, declared, {base.tag_key: tag, **definitions})
    section.tag = word
    section.own_keys = {each.name: each.doc for each in keys}
    return section


def _unknown_section(
    base: type[TaggedSection], sections: tuple[type[TaggedSection], ...], description: str, example: str
) -> type[TaggedSection]:
    """Takes what any of the sections takes; it must only be there where all of them want it."""
    definitions: dict[str, Any] = {}
    for section in sections:
        for each in _keys_of(section.declared):
            annotation, field = _field(each)
            if not all(each.name in other.own_keys and other.model_fields[each.name].is_required() for other in sections):
                annotation, field = annotation | None, Field(None, description=each.doc.text)
            definitions.setdefault(each.name, (annotation, field))
    words = tuple(section.tag for section in sections)
    tag = (Literal[words], Field(description=description, examples=[example]))
    return _made(f"Unknown{base.__name__}", base, Declared, {base.tag_key: tag, **definitions})


@functools.cache
def section_for(declared: type[Declared]) -> type[Section]:
    """The section of a settings class that is no choice; one for all that have it, so that the schema describes it once."""
    made: type[Section] = _made(
        f"{declared.__name__}Section", DeclaredSection, declared, {each.name: _field(each) for each in _keys_of(declared)}
    )
    return made


def _made(name: str, base: type[Any], declared: type[Declared], definitions: dict[str, Any]) -> type[Any]:
    doc = (declared.__doc__ or "").partition("\n\n")[0]
    section: type[Any] = create_model(name, __base__=base, __doc__=" ".join(doc.split()), **definitions)
    section.declared = declared
    return section


def _field(each: _Key) -> tuple[Any, Any]:
    examples = None if each.doc.example is None else [each.doc.example]
    annotation, default = _for_file(each.annotation), each.default
    if each.nested is not None and default is not dataclasses.MISSING and not isinstance(default, tuple):
        annotation, default = annotation | None, None
    if default is dataclasses.MISSING:
        return annotation, Field(description=each.doc.text, examples=examples)
    if isinstance(default, tuple):
        return annotation, Field(default_factory=lambda: list(default), description=each.doc.text, examples=examples)
    return annotation, Field(default, description=each.doc.text, examples=examples)


def _for_file(annotation: Any) -> Any:
    """The type of a key in the file, where it is another than in the settings."""
    origin = get_origin(annotation)
    if origin is Annotated:
        marks = [checked(mark.find) if isinstance(mark, Check) else mark for mark in annotation.__metadata__]
        marks = [mark for mark in marks if not isinstance(mark, (Doc, LocalPath))]
        made = _for_file(annotation.__origin__)
        for mark in marks:
            made = Annotated[made, mark]
        return made
    if origin is tuple:
        return list[_for_file(get_args(annotation)[0])]  # type: ignore[misc]  # a type that is only known now
    if annotation is SecretRef:
        return Secret
    if isinstance(annotation, type) and issubclass(annotation, Declared):
        return section_for(annotation)  # type: ignore[arg-type]  # mypy takes the class for one of its objects
    if origin is not None and origin is not Literal:
        return Union[tuple(_for_file(each) for each in get_args(annotation))]  # noqa: UP007
    return annotation
