"""Every type that a settings class may declare: what the file may hold for it, and what becomes of that."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest

from pipelines.config.explain import validated
from pipelines.config.own_model import DestinationSection
from pipelines.config.problems import Findings
from pipelines.config.references import Surroundings
from pipelines.config.sections import section_for, settings_of, tagged
from transforms.config_keys import Declared, Doc, FilePath, Ge, Host, Le, Text
from transforms.secrets import SecretRef
from transforms.settings import KindSettings


@dataclass(frozen=True, slots=True)
class Inner(Declared):
    """A section in the section."""

    ca_file: Annotated[FilePath | None, Doc("A file.")] = None
    password: Annotated[SecretRef | None, Doc("A secret.")] = None


@dataclass(frozen=True, slots=True)
class Everything(Declared):
    """One of each."""

    host: Annotated[Host, Doc("A host.")]
    token: Annotated[SecretRef, Doc("A secret.")]
    share: Annotated[float, Ge(0), Le(1), Doc("A share.")] = 0.5
    whole: Annotated[int | None, Doc("A number, or none.")] = None
    on: Annotated[bool, Doc("A switch.")] = False
    word: Annotated[Literal["a", "b"], Doc("A word.")] = "a"
    names: Annotated[tuple[Text, ...], Doc("Names.")] = ()
    inner: Annotated[Inner, Doc("More.")] = field(default_factory=Inner)
    not_in_the_file: int = 7


def settings(given: dict, findings: Findings) -> Everything | None:
    section = validated(section_for(Everything), given, findings)
    around = Surroundings(Path("/etc/duo/config.yml"), Path("/etc/duo"), None)
    return settings_of(Everything, section, (), around, findings) if section else None


def test_what_is_left_out_has_the_default_of_the_class():
    assert settings({"host": "h", "token": "env:TOKEN"}, Findings()) == Everything("h", SecretRef("env", "TOKEN"))


def test_what_is_given_arrives_with_paths_made_absolute_and_secrets_as_references():
    given = {
        "host": "h", "token": "file:token", "share": 1, "whole": 3, "on": True, "word": "b", "names": ["x", "y"],
        "inner": {"ca_file": "ca.pem", "password": "gcp:projects/p/secrets/s/versions/1"},
    }  # fmt: skip
    assert settings(given, Findings()) == Everything(
        "h", SecretRef("file", "/etc/duo/token"), 1, 3, True, "b", ("x", "y"),
        Inner("/etc/duo/ca.pem", SecretRef("gcp", "projects/p/secrets/s/versions/1")),
    )  # fmt: skip


def test_a_secret_that_is_written_into_the_file_stays_there_and_is_noticed():
    findings = Findings()
    made = settings({"host": "h", "token": "s3cret"}, findings)

    assert made.token == SecretRef("config", "/etc/duo/config.yml#token")
    assert [notice.key for notice in findings.notices] == ["token"]
    assert "s3cret" not in repr(made) + str(findings.notices)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"host": "https://h"}, "not a host"),
        ({"share": 1.5}, "1.5 is out of range"),
        ({"whole": "3"}, "must be a whole number"),
        ({"on": "yes"}, "must be true or false"),
        ({"word": "c"}, "not one of the known words"),
        ({"names": [""]}, "is empty"),
        ({"inner": {"ca_file": "a\0b"}}, "no path has"),
        ({"inner": {"nothing": 1}}, "not known"),
        ({"not_in_the_file": 8}, "not known"),
    ],
)
def test_what_does_not_fit_is_told(changed, what):
    findings = Findings()

    assert settings({"host": "h", "token": "env:TOKEN", **changed}, findings) is None
    assert [what in problem.what for problem in findings.problems] == [True]


def test_a_kind_cannot_declare_what_every_kind_has():
    @dataclass(frozen=True, slots=True)
    class Greedy(KindSettings):
        kind: ClassVar[str] = "greedy"
        format: Annotated[str, Doc("Mine.")] = ""

    with pytest.raises(ValueError, match="Greedy declares format, which every kind has"):
        tagged(DestinationSection, {"greedy": Greedy}, "", "greedy")
