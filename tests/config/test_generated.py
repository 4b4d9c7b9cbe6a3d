"""What is generated from the model: it is current, and it is true."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pipelines.config import load
from pipelines.config.document import document
from pipelines.config.own_model import DestinationSection, FormatName, LogType, OwnFile
from pipelines.config.sample import sample_yaml
from pipelines.config.schema import config_schema
from pipelines.config.sections import sections_in
from transforms.destinations import KINDS
from transforms.destinations.stored.registry import SEARCHES
from transforms.destinations.stream.framing import FRAMINGS
from transforms.duo.log_types import LOG_TYPES
from transforms.formats import FORMATS

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "python -m pipelines schema > docs/config.schema.json; python -m pipelines schema --sample > docs/config.sample.yml"


def words(annotation):
    return set(getattr(annotation, "__args__", ()))


def test_committed_schema_is_current():
    assert json.loads((DOCS / "config.schema.json").read_text(encoding="utf-8")) == config_schema(), AGAIN


def test_committed_sample_is_current():
    assert (DOCS / "config.sample.yml").read_text(encoding="utf-8") == f"{sample_yaml()}\n", AGAIN


def test_committed_reference_is_current_and_its_headings_differ():
    committed = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert committed == document(), "python -m pipelines.config.document > docs/configuration.md"
    headings = re.findall(r"^## .+$", committed, re.MULTILINE)
    assert len(set(headings)) == len(headings)


def test_sample_is_valid(write):
    loaded = load(write(sample_yaml()))
    assert loaded.dialect == "own"
    assert loaded.notices == ()


def test_sample_is_valid_with_every_comment_removed(write):
    # Keys of the kind http exclude one another: docs/destinations.md has a valid example of each preset.
    sample = re.sub(r"(?ms)^  ## kind: http\..*?(?=^  ## kind:|^##)", "", sample_yaml())
    # So do a token and a user of the section audit.
    sample = sample.replace("      # user: auditor\n", "").replace("      # password: env:SEARCH_PASSWORD\n", "")
    text = re.sub(r"(?m)^( *)# (?=(- )?\w+:)", r"\1", sample).replace("msp: false", "msp: true")
    assert len(yaml.safe_load(text)) == len(OwnFile.model_fields)
    job = load(write(text), look_at_files=False).job
    assert job.accounts[0].proxy is not None
    assert job.destinations[0].settings.tls.server_name == "siem.example.com"
    assert job.destinations[0].audit.kind == "splunk"


def test_every_key_is_described():
    def walk(node, path):
        assert node.get("description"), path
        for key, inner in node.get("properties", {}).items():
            assert inner.get("description") or "$ref" in inner, f"{path}.{key}"
        for name, inner in node.get("$defs", {}).items():
            walk(inner, name)

    walk(config_schema(), "")


@pytest.mark.parametrize(
    ("accepted", "registry"),
    [
        (words(LogType), LOG_TYPES),
        (words(FormatName), FORMATS),
        ({s.tag for s in sections_in(OwnFile.model_fields["destinations"].annotation)[0].siblings}, KINDS),
        ({s.tag for s in sections_in(DestinationSection.model_fields["audit"].annotation)[0].siblings}, SEARCHES),
        ({"lf", "octet"}, FRAMINGS),
    ],
    ids=["log types", "formats", "kinds", "searches", "framings"],
)
def test_every_word_is_known_to_the_pipeline(accepted, registry):
    assert accepted == set(registry)
