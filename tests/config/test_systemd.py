"""Credentials that systemd shows to one unit only: who needs none does without, who needs one is told how to get it."""

import pytest

from pipelines.config import ConfigProblems, load, systemd
from pipelines.config.problems import Unseen
from pipelines.config.systemd import command_inside
from tests.config.conftest import OWN, marked_line, replaced
from transforms.secrets import SecretRef

SKEY, TOKEN = "/run/credentials/duologsync.service/skey", "/run/credentials/duologsync.service/token"
IN_UNIT = replaced(OWN, "env:DUO_SKEY", f"file:{SKEY} #!")
HEC = "kind: hec\n    url: https://siem.example.com:8088\n    token: file:" + TOKEN
TWO = replaced(IN_UNIT, "kind: tcp\n    host: siem.example.com\n    port: 6514", HEC)


@pytest.fixture(autouse=True)
def outside(monkeypatch, tmp_path):
    """Not in a unit, and on a machine of which no unit is known."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(systemd, "_UNIT_DIRECTORIES", (str(tmp_path / "units"),))
    monkeypatch.setattr("sys.argv", ["/opt/duologsync/bin/duologsync", "check", "config.yml"])


def test_who_needs_no_secret_is_told_that_it_cannot_be_seen_from_here(write):
    (notice,) = load(write(IN_UNIT), needs_secrets=False).notices

    assert isinstance(notice, Unseen)
    assert (notice.key, notice.line) == ("accounts.0.skey", marked_line(IN_UNIT))
    seen_by = "shows the credential /run/credentials/duologsync.service/skey to duologsync.service only"
    assert notice.what == f"systemd {seen_by}, so it cannot be seen from here"
    assert notice.fix == "Nothing needs to be done where duologsync.service has LoadCredential=skey:…"


def test_who_needs_the_secret_is_told_the_line_that_runs_it_inside(write, tmp_path):
    with pytest.raises(ConfigProblems) as told:
        load(write(IN_UNIT))

    (problem,) = told.value.problems
    assert problem.what == f"systemd shows the credential {SKEY} to duologsync.service only"
    assert problem.fix == (
        "Run: sudo systemd-run --pty --wait --collect --quiet -p User=duologsync -p StateDirectory=duologsync "
        f"-p LoadCredential=skey:/etc/duologsync/skey /opt/duologsync/bin/duologsync check {tmp_path}/config.yml"
    )


def test_one_line_has_all_credentials(write):
    with pytest.raises(ConfigProblems) as told:
        load(write(TWO))

    first, second = told.value.problems
    assert "-p LoadCredential=skey:/etc/duologsync/skey -p LoadCredential=token:/etc/duologsync/token" in first.fix
    assert second.fix == "The command for the first has token, too."


def test_the_line_is_as_the_units_file_says(tmp_path):
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "duo.service").write_text(
        "[Service]\nUser=siem\nStateDirectory=duo\nLoadCredential=skey:/srv/keys/duo\nLoadCredential=token\n"
    )
    line = command_inside(["/run/credentials/duo.service/skey", "/run/credentials/duo.service/token"], ["duologsync", "replay"])

    assert "-p User=siem -p StateDirectory=duo -p LoadCredential=skey:/srv/keys/duo -p LoadCredential=token duologsync" in line


def test_in_a_unit_of_another_name_its_own_credential_is_the_secret(write, tmp_path, monkeypatch, secret):
    # systemd-run starts another unit than the one whose path the configuration has.
    (tmp_path / "skey").write_text(f"{secret}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))

    assert load(write(IN_UNIT)).notices == ()
    assert SecretRef("file", SKEY).resolve() == secret


def test_a_credential_that_the_unit_was_not_given_is_told_by_its_own_path(write, tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigProblems) as told:
        load(write(IN_UNIT))

    assert SKEY in str(told.value)


def test_a_secret_file_that_is_missing_is_a_problem_for_everybody(write):
    with pytest.raises(ConfigProblems) as told:
        load(write(replaced(OWN, "env:DUO_SKEY", "file:/etc/duologsync/nothing")), needs_secrets=False)

    assert "cannot be read: No such file or directory" in str(told.value)
