"""The names of the metrics: they are of one form, bounded, and told in docs/metrics.md as they are."""

import re
from pathlib import Path

import pytest

from transforms.metrics import catalog
from transforms.metrics.catalog import CATALOG, Metric
from transforms.metrics.document import document

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_committed_document_is_current():
    again = "python -m transforms.metrics.document > docs/metrics.md"
    assert DOCUMENT.read_text(encoding="utf-8") == f"{document()}\n", again


@pytest.mark.parametrize("metric", CATALOG.values(), ids=list(CATALOG))
def test_a_name_says_kind_and_unit(metric):
    assert re.fullmatch(r"(duologsync|process)(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.unit in metric.name
    assert ("_seconds" in metric.name, "_bytes" in metric.name) == (metric.unit == "seconds", metric.unit == "bytes")


@pytest.mark.parametrize("metric", CATALOG.values(), ids=list(CATALOG))
def test_what_it_says_and_what_to_do_are_sentences(metric):
    for text in (metric.help, metric.use):
        assert text[0].isupper() or text[0].isdigit()
        assert text.endswith(".")
        assert "|" not in text


def test_only_histograms_have_buckets_and_they_grow():
    for metric in CATALOG.values():
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_every_metric_is_in_the_table():
    assert {each for each in vars(catalog).values() if isinstance(each, Metric)} == set(CATALOG.values())
