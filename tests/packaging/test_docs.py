"""What the documents show is true: links lead somewhere, the worked example works, commands name what exists."""

import json
import re
import sys
import types
from pathlib import Path

import pytest

from pipelines import __version__
from transforms.coders import DuoEvent, Stream
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.settings import Format

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
METADATA = json.loads((ROOT / "pipelines" / "launch_files" / "dataflow" / "metadata.json").read_text())


def block(language: str, text: str = CONTRIBUTING) -> str:
    """The first code block of a language."""
    return re.search(rf"^```{language}\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_repository_leads_to_a_file(document):
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


@pytest.fixture
def passkey(monkeypatch):
    """The log type of the worked example, made of the code that the document shows."""
    code = block("python")
    assert code.startswith("# transforms/duo/log_types/passkey.py\n")
    module = types.ModuleType("passkey")
    monkeypatch.setitem(sys.modules, "passkey", module)
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    monkeypatch.setitem(LOG_TYPES, "passkey", module.LOG_TYPE)
    return module


def test_the_worked_example_of_a_log_type_works(passkey):
    row = block("json").encode()
    assert passkey.row_key(row).event_id == "PK1"
    message = make_formatter(Format(CefOptions())).format(DuoEvent(Stream("main", "passkey"), row)).decode()
    shown = re.search(r"^CEF:0.*$", CONTRIBUTING, re.MULTILINE)[0]
    assert message == shown.replace("|1.0.0|", f"|{__version__}|")


@pytest.mark.parametrize("row", [b"", b"[]", b"\xff", b'{"ts":1,"attempts":"x"}'])
def test_the_worked_example_is_not_stopped_by_an_odd_row(passkey, row):
    assert passkey.row_key(row) == (None, None)


def test_the_files_that_contributing_names_exist():
    named = re.findall(r"`((?:transforms|pipelines|tests|docs)/[A-Za-z0-9_/.-]+)`", CONTRIBUTING)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists() and "passkey" not in name and "NAME" not in name] == []


def test_the_dataflow_commands_give_every_required_parameter_and_no_unknown_one():
    text = (ROOT / "docs" / "dataflow.md").read_text()
    command = re.search(r"gcloud dataflow flex-template run duologsync.*?\n```", text, re.DOTALL)[0]
    given = set(re.findall(r"(?:--parameters |,)([a-z_]+)=", command))
    described = {parameter["name"]: parameter["isOptional"] for parameter in METADATA["parameters"]}
    assert given <= set(described)
    assert {name for name, optional in described.items() if not optional} <= given


def test_the_changelog_has_the_form_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[Unreleased\]$", text, re.MULTILINE)
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def test_nothing_is_skipped_but_what_a_machine_or_a_python_may_not_allow():
    skip = re.compile(r"pytest\.skip\(\"([^\"]*)|skipif\(.*reason=\"([^\"]*)|importorskip\(|xfail")
    reasons = [
        match[1] or match[2] or match[0]
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__)
        for match in skip.finditer(path.read_text())
    ]
    assert [reason for reason in reasons if not reason.startswith(("not allowed here: ", "not on Python 3."))] == []
