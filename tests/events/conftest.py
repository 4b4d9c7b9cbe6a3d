"""What the tests of events share: a key for tokens, and rows as Duo sends them."""

import json
from pathlib import Path

import pytest

from transforms.records import Stream
from transforms.secrets import SecretRef

GOLDEN = Path(__file__).parents[1] / "golden"
KEY = SecretRef("env", "REDACTION_KEY")
AUTH = Stream("main", "auth", "api-1a2b3c4d.duosecurity.com")


@pytest.fixture(autouse=True)
def redaction_key(monkeypatch):
    monkeypatch.setenv("REDACTION_KEY", "a key of the test's own")


def golden_row(log_type, name):
    return (GOLDEN / log_type / f"{name}.json").read_bytes().strip()


def golden_rows():
    """Log, name and bytes of every row of the golden folder."""
    for folder in sorted(GOLDEN.iterdir()):
        for path in sorted(folder.glob("*.json")):
            if path.name.count(".") == 1:
                yield folder.name, path.stem, path.read_bytes().strip()


def row(**fields):
    return json.dumps(fields).encode()
