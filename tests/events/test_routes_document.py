"""docs/routes.md shows what is so: its configuration, its expectations, its function, its expressions, its fields."""

import re
from pathlib import Path

import pytest

from pipelines import cli, exit_codes
from tests.events.field_tables import tables
from transforms.duo.log_types import DEFAULT_LOG_TYPES
from transforms.events.filters import mistakes

TEXT = (Path(__file__).parents[2] / "docs" / "routes.md").read_text()
CONFIG, EXPECTATIONS = re.findall(r"^```yaml\n(.*?)\n```$", TEXT, re.DOTALL | re.MULTILINE)
FUNCTION = re.search(r"^```python\n(# my_siem.py.*?)\n```$", TEXT, re.DOTALL | re.MULTILINE)[1]
FILTERS = TEXT.split("\n## Filters\n")[1].split("\n## ")[0]
EXPRESSIONS = [line.split("`")[1].replace("\\|", "|") for line in FILTERS.splitlines() if line.startswith("| `")]


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("DUO_SKEY", "s" * 40)
    monkeypatch.setenv("REDACTION_KEY", "k" * 32)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "my_siem.py").write_text(FUNCTION)
    path = tmp_path / "config.yml"
    path.write_text(CONFIG + f"\nstorage: {{checkpoint_dir: {tmp_path}/checkpoints}}\n")
    return path


def test_the_configuration_is_valid_and_meets_the_expectations(config, capsys):
    expectations = config.with_name("expectations.yml")
    expectations.write_text(EXPECTATIONS)

    assert cli.main(["test", str(config), str(expectations)]) == exit_codes.OK, capsys.readouterr().out
    assert capsys.readouterr().out.endswith("3 passed, 0 failed\n")


def test_what_validate_says_is_what_is_shown(config, capsys):
    wrong = "event.evnt_type == 'x' && event.timestamp == 'x'"
    text = config.read_text()
    line = next(line for line in text.splitlines() if "where: event.event_type" in line)
    config.write_text(text.replace(line, f"    where: {wrong}"))

    assert cli.main(["validate", str(config)]) == exit_codes.CONFIG
    said = capsys.readouterr().err
    shown = [each for each in TEXT.splitlines() if each.startswith("config.yml:")]
    assert "character 7: auth has no field evnt_type. Did you mean event.event_type?" in said
    assert all(
        re.sub(r"^config.yml:\d+: |character \d+: | ?…$", "", each) in re.sub(r"character \d+: ", "", said) for each in shown
    )


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_expressions_are_right(expression):
    assert mistakes(expression, DEFAULT_LOG_TYPES) == ()


def test_there_are_expressions():
    assert len(EXPRESSIONS) == 12


def test_the_fields_are_those_that_are_checked():
    assert TEXT.rstrip().endswith(tables()), "python -m tests.events.field_tables"
