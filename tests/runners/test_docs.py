"""The tables of promises in the documentation: every test that they name is there."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`")


def test_every_test_that_the_documentation_names_exists():
    named = [(page.name, *match.groups()) for page in DOCS.glob("*.md") for match in NAMED.finditer(page.read_text())]
    missing = [
        (page, path, test)
        for page, path, test in named
        if not (DOCS.parent / path).exists() or (test and f"def {test}(" not in (DOCS.parent / path).read_text())
    ]

    assert len(named) > 15
    assert not missing


def test_every_mark_in_the_table_of_runners_has_its_test():
    page = (DOCS / "runners.md").read_text()
    digits = str.maketrans("¹²³⁴⁵⁶⁷⁸⁹⁰", "1234567890")
    marks = {int(mark.translate(digits)) for mark in re.findall(r"[¹²³⁴⁵⁶⁷⁸⁹⁰]+", page)}
    notes = {int(number) for number in re.findall(r"^(\d+)\. ", page, re.MULTILINE)}

    assert marks == notes
