"""The systemd unit, judged by systemd itself and held against what the program promises."""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import exit_codes
from pipelines.commands.run import add_arguments

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "pipelines" / "launch_files" / "duologsync.service"
PROGRAM = "/opt/duologsync/bin/duologsync"
MOST_EXPOSURE = 1.5


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is missing: install Debian's package systemd"
    return subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def unit(tmp_path) -> Path:
    """The unit as on a machine where the program is installed."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    return path


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)


@pytest.mark.servers
def test_systemd_has_nothing_to_say_against_it(unit):
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.servers
def test_systemd_would_say_so_if_a_setting_were_misspelt(unit):
    unit.write_text(unit.read_text().replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in analyze("verify", "--man=no", unit).stderr


@pytest.mark.servers
def test_it_is_exposed_only_to_what_it_needs(unit):
    shown = analyze("security", "--offline=true", "--no-pager", unit).stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert float(exposure) <= MOST_EXPOSURE, shown


def test_a_program_that_only_a_person_can_mend_is_not_started_again():
    assert values("RestartPreventExitStatus") == [f"{exit_codes.CONFIG} {exit_codes.CREDENTIALS}"]
    assert values("Restart") == ["always"]


def test_stopping_leaves_room_for_the_grace_period():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert values("KillSignal") == ["SIGTERM"]
    assert int(values("TimeoutStopSec")[0]) >= parser.parse_args(["config.yml"]).grace_secs + 10


def test_the_service_manager_is_told_when_it_has_begun_and_that_it_lives():
    """By the main process alone: pipelines.monitoring.systemd."""
    assert values("Type") == ["notify"]
    assert values("NotifyAccess") == ["main"]
    assert 60 <= int(values("WatchdogSec")[0]) <= 600
    assert values("ExecReload") == [] or values("ExecReload") == ["/bin/kill -HUP $MAINPID"]


def test_it_never_gives_up_on_what_may_pass():
    """A configuration error ends the main process with 2, which is not tried again; a check before it would be, for ever."""
    (run,) = values("ExecStart")
    assert run.split() == [PROGRAM, "run", "/etc/duologsync/config.yml"]
    assert values("ExecStartPre") == []
    assert values("StartLimitIntervalSec") == ["0"]
    assert values("RestartPreventExitStatus") == [f"{exit_codes.CONFIG} {exit_codes.CREDENTIALS}"]


def test_a_crash_leaves_no_core_file_with_keys_in_it():
    assert values("LimitCORE") == ["0"]


def test_descriptors_suffice_for_an_msp_of_thousands():
    assert int(values("LimitNOFILE")[0]) >= 65_536


def test_a_call_that_is_not_allowed_is_refused_and_does_not_kill():
    """numpy, which Beam loads, asks to bind memory to nodes and can do without."""
    assert values("SystemCallErrorNumber") == ["EPERM"]
