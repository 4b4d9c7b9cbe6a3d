"""The file of ``duologsync test``: a user's own expectations of a configuration.

Place in the flow: ``read_expectations`` reads and checks it as strictly as a configuration, and tells every problem at once
with its line; ``pipelines.commands.test`` compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pipelines.config.explain import validated
from pipelines.config.fields import FilePath, Section
from pipelines.config.problems import ConfigProblems, Findings, in_order
from pipelines.config.yaml_file import read
from transforms.config_keys import Broken, Text
from transforms.duo.log_types import LOG_TYPES

if TYPE_CHECKING:
    LogType = str
else:
    LogType = Literal[tuple(LOG_TYPES)]
_SAYS = ("sent", "messages", "contains", "lacks")


class ExpectSection(Section):
    """What one destination is to get of an event."""

    destination: Text = Field(description="Name of the destination.", examples=["splunk"])
    sent: bool | None = Field(None, description="Whether anything is to be sent.")
    messages: list[str] | None = Field(None, description="Exactly these messages, in this order; an empty list for none.")
    contains: list[Text] = Field(default_factory=list, description="Texts of which each is to be in one of the messages.")
    lacks: list[Text] = Field(default_factory=list, description="Texts of which none is to be in any message.")

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        if not any(key in given for key in _SAYS):
            yield Broken("destination", "nothing is expected of it", f"Add one of {', '.join(_SAYS)}.")


class ExpectationSection(Section):
    """An event, and what is to become of it."""

    name: Text = Field(description="What is expected, as a sentence.", examples=["refused log-ins reach the SIEM"])
    event: Text | None = Field(None, description="The row as Duo sends it, in JSON.")
    file: FilePath | None = Field(None, description="A file with it, instead.", examples=["rows/denied.json"])
    log: LogType | None = Field(None, description="The log that it is of, where its fields do not tell.", examples=["auth"])
    account: Text | None = Field(None, description="Account, or PARENT/CHILD_ID; without it, the first account.")
    expect: list[ExpectSection] = Field(min_length=1, description="What the destinations are to get.")

    @classmethod
    def broken_rules(cls, given: dict[str, Any]) -> Iterator[Broken]:
        if ("event" in given) == ("file" in given):
            yield Broken("event", "give either event or file", "Write the row under event, or name a file with it.")


class ExpectationsFile(Section):
    """Expectations of a configuration."""

    tests: list[ExpectationSection] = Field(min_length=1, description="The expectations.")


def read_expectations(path: Path) -> ExpectationsFile:
    """The expectations in a file. Raises ConfigProblems."""
    findings = Findings(path)
    data = read(path, findings)
    file = None if data is None else validated(ExpectationsFile, data, findings)
    if file is None:
        raise ConfigProblems(in_order(findings.problems))
    return file
