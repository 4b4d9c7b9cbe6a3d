"""Rules that were written against Duo Log Sync go on working: its keys come first, in its order, and mean what they meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.formats import golden
from transforms.formats.cef import dls

# Duo Log Sync 2.4.1, duologsync/consumer/*.py. IPv6 has a key and a label of its own here; ``act`` of log-ins is ours.
INCUMBENT = {
    "auth": "dhost src cs1Label=integration cs1 cs2Label=event_type cs2 cs3Label=factor cs3 outcome rt duser",
    "telephony": "cs1Label=context cs1 cs2Label=credits cs2 cs3Label=event_type cs3 cs4Label=phone cs4 rt cs5Label=type cs5",
    "activity": "src act suser rt msg outcome cs1Label=integration_name cs1 cs2Label=integration_type cs2",
}
CATEGORIES = {"auth": "authentication", "telephony": "telephony", "activity": "activity"}


def _keys(table: Any) -> list[str]:
    """The keys of a table; labels with what they say."""
    return [word if "Label=" in word else word.rstrip("=") for key in table for word in key.key.split() if key.key.strip()]


@pytest.mark.parametrize("log_type", INCUMBENT)
def test_its_keys_come_first_and_in_its_order(log_type: str) -> None:
    written = [key for key in _keys(dls.TABLES[CATEGORIES[log_type]]) if not re.search("IPv6|Address|c6a2", key)]
    expected = INCUMBENT[log_type].split()
    assert written[: len(expected)] == expected


@pytest.mark.parametrize("row", [row for row in golden.rows() if row.parent.name in INCUMBENT], ids=lambda row: row.stem)
def test_what_is_added_stands_behind_and_takes_none_of_its_keys(row: Any) -> None:
    line = row.with_suffix(".dls.cef").read_text(encoding="utf-8")
    before, found, after = line.partition(" externalId=")
    theirs = {word.partition("=")[0] for word in INCUMBENT[row.parent.name].split()}
    assert "CiscoDuo" not in before
    assert not theirs & set(re.findall(r" (\w+)=", found + after))
