"""docs/destinations.md says what is so: a row for each kind and preset, each with its tests, and examples that are valid."""

import re
from pathlib import Path

import pytest
import yaml

from pipelines.config import load
from transforms.destinations import KINDS
from transforms.destinations.http.hec import CODES
from transforms.destinations.http.hec_settings import SOURCETYPES
from transforms.destinations.http.presets import PRESETS
from transforms.destinations.http.verdict import Fate

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "destinations.md").read_text()
EXAMPLES = [yaml.safe_load(block)[0] for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
CONFIG = """version: 2
accounts: [{api_host: api-1a2b3c4d.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:DUO_SKEY}]
routes: [{log_types: auth, destinations: NAME, from: now}]
storage: {checkpoint_dir: state}
"""


def rows_below(heading: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with a head, below a heading."""
    table = TEXT.split(f"\n{heading}\n")[1].split(f"\n| {head} |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_what_delivered_means_is_said_of_every_kind_and_shown_by_tests_that_there_are():
    rows = rows_below("## What *delivered* means", "kind")
    assert {kind for cells in rows for kind in re.findall(r"`([a-z]+)`", cells[0])} == set(KINDS)
    for *_, shown in rows:
        assert (ROOT / shown).exists(), shown


def test_every_preset_has_its_row_with_its_age_and_names():
    rows = {cells[0].strip("`"): cells for cells in rows_below("### Presets", "preset")}
    assert set(rows) == set(PRESETS)
    for name, (_, _, _, age, where) in rows.items():
        secs = PRESETS[name].longest_age_secs
        assert age == ("" if secs is None else f"{secs / 3600:g} h")
        said = set(re.findall(r"`([A-Za-z_:-]+)`", where))
        if name in ("sentinel", "secops"):
            assert said <= set(PRESETS[name].names.values())


def test_the_codes_and_statuses_that_it_names_are_sorted_so():
    said = {fate: cells[0] for fate, cells in zip(_FATES, rows_below("## HTTP", "answer")[1:], strict=False)}
    for fate, cell in said.items():
        named = _numbers(cell.partition("HEC codes")[2])
        assert named == {code for code, (known, _, _) in CODES.items() if known is fate}, cell


_FATES = (Fate.REFUSED, Fate.TOO_LARGE, Fate.LATER)


def _numbers(text: str) -> set[int]:
    found = set()
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text.partition(";")[0]):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_splunk_s_sourcetypes_are_those_that_are_sent():
    said = set(re.findall(r"`(cisco:duo:[a-z_0-9]+)`", TEXT))
    assert said == set(SOURCETYPES.values()) - {SOURCETYPES["offline_enrollment"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["name"])
def test_an_example_is_valid(example, tmp_path):
    path = tmp_path / "config.yml"
    path.write_text(CONFIG.replace("NAME", example["name"]) + yaml.safe_dump({"destinations": [example]}))
    loaded = load(path, look_at_files=False)
    assert loaded.job.destinations[0].name == example["name"]
    assert [notice for notice in loaded.notices if notice.key.startswith("destinations")] == []


def test_there_is_one_for_every_preset():
    assert {example.get("preset") for example in EXAMPLES} - {None} == set(PRESETS)
