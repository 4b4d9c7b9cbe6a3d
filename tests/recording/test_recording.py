"""The recording of the README: a picture that needs nothing else, of what the program says."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from pipelines import __version__
from tests.recording.__main__ import FILE, SAYS
from tests.recording.svg import ROWS, Screen, moving

_SVG = "{http://www.w3.org/2000/svg}"


def screens_of(picture: str) -> list[str]:
    root = ET.fromstring(picture)
    groups = [group for group in root.iter(f"{_SVG}g") if group.get("class", "").startswith("s ")]
    texts = [[text.text.replace("\xa0", " ").strip() for text in group.iter(f"{_SVG}text")] for group in groups]
    return ["\n".join(filter(None, lines)) for lines in texts]


@pytest.fixture(scope="module")
def committed() -> str:
    return FILE.read_text(encoding="utf-8")


def test_the_recording_is_small_and_needs_nothing_else(committed):
    assert len(committed) < 300_000
    assert re.findall(r"(?:href|src|url\((?!#))", committed) == []
    assert "<script" not in committed


def test_it_shows_this_release_from_the_file_to_the_last_line(committed):
    shown = screens_of(committed)
    wanted = ["is a valid configuration", "connects", f"duologsync {__version__} starts", "all caught up", "waiting for siem"]
    found = [next((n for n, text in enumerate(shown) if words in text), None) for words in wanted]
    assert None not in found
    assert found == sorted(found)
    assert "All that was read is delivered." in shown[-1]
    assert SAYS in committed


def test_nothing_of_the_machine_that_recorded_it_is_shown(committed):
    assert re.findall(r"/(?:tmp|root|home|work)/", committed) == []


def test_each_screen_is_seen_for_its_time_and_then_the_next():
    picture = moving([Screen("one", 1), Screen("two", 3)], "Two screens")
    assert screens_of(picture) == ["one", "two"]
    assert "@keyframes k0 { 0.00% { visibility: visible } 25.00% { visibility: hidden } }" in picture
    assert (
        "@keyframes k1 { 0.00% { visibility: hidden } 25.00% { visibility: visible } 100.00% { visibility: hidden } }"
        in picture
    )


def test_of_a_long_screen_the_end_is_seen_and_nothing_in_it_is_markup():
    (shown,) = screens_of(moving([Screen("\n".join(f"<b> & {n}" for n in range(100)), 1)], "One"))
    assert shown.split("\n")[-1] == "<b> & 99"
    assert len(shown.split("\n")) == ROWS
