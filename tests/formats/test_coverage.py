"""Whatever a row says, CEF says: each leaf of the golden rows is changed, and the line with it.

Leaves that show nowhere are listed here, each with its reason.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.formats import leaves
from transforms.formats.cef import PROFILES

_TWICE = "the same moment again; the line has it from the field that is more exact, or that Duo counts by"
_COLLECTOR = "not Duo's, but added by collectors and by Duo's client library"
_MODEL = "the release of Duo's model; its result is in the line"
_PLUG_IN = "no browser of today runs this plug-in; what is out of date is in `CiscoDuoOutOfDateSoftware`"
NOWHERE = {
    "auth": {
        "timestamp": _TWICE,
        "host": _COLLECTOR,
        "eventtype": _COLLECTOR,
        "access_device.flash_version": _PLUG_IN,
        "access_device.java_version": _PLUG_IN,
        "adaptive_trust_assessments.*.features_version": _MODEL,
        "adaptive_trust_assessments.*.model_version": _MODEL,
    },
    "trustmonitor": {"surfaced_auth.timestamp": _TWICE},
    "admin": {"isotimestamp": _TWICE},
    "offline_enrollment": {"isotimestamp": _TWICE},
}


def _silent(profile: str, path: Path) -> set[str]:
    """The leaves of a row that the line says nothing of."""
    log_type = path.parent.name
    return {name for name, row, other in leaves.of(path) if not leaves.changed(profile, log_type, row, other)}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", leaves.ROWS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_each_leaf_of_a_row_shows_in_the_line(path: Path, profile: str) -> None:
    assert _silent(profile, path) <= set(NOWHERE.get(path.parent.name, {}))


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_listed_as_showing_nowhere_really_does_not(profile: str) -> None:
    silent = {(path.parent.name, name) for path in leaves.ROWS for name in _silent(profile, path)}
    assert silent == {(log_type, name) for log_type, names in NOWHERE.items() for name in names}


def test_the_golden_rows_have_every_field_that_duo_is_known_to_send() -> None:
    """Of the real rows from public sources; what a row here lacks, the tests above cannot miss."""
    known = (Path(__file__).parent / "duo_fields.txt").read_text(encoding="utf-8").split()
    have = {f"{path.parent.name}:{name}" for path in leaves.ROWS for name, _, _ in leaves.of(path)}
    assert [name for name in known if name not in have] == []
