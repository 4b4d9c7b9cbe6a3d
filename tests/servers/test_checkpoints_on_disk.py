"""What a crash, a full disk, or a hand may do to the checkpoint files between two launches; and Duo Log Sync's own files."""

import json

import pytest

from pipelines import exit_codes
from pipelines.demo.receiver import SiemReceiver
from pipelines.demo.simulator import LOG_TYPES
from tests.servers.harness import (
    IKEY,
    Duo,
    Program,
    assert_checkpoints_readable,
    repeated,
    tcp,
    wait_for_all,
    wait_until,
    write_config,
)
from tests.servers.scenarios import most_in_a_bundle
from transforms.duo import log_types

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("previous", ["kept", "damaged"])
def test_a_damaged_checkpoint_is_told_kept_aside_and_costs_repeats_only(tmp_path, previous):
    folder = tmp_path / "checkpoints"
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog(dict.fromkeys(LOG_TYPES, 8_000) | {"trustmonitor": 2_000})
        config = write_config(tmp_path, duo, [tcp(siem.port)], page_pause_secs=0.2)
        with Program(tmp_path, "run", config) as program:
            wait_until(
                lambda: all(len(siem.unique_ids(t)) > 1_000 for t in ("auth", "activity", "telephony")), "some of each log"
            )
            wait_until(lambda: siem.unique_ids("trustmonitor"), "some of the trust monitor")
            assert program.end() == exit_codes.OK
            damaged = _damage(folder)
            if previous == "damaged":
                for path in folder.glob("*.previous"):
                    path.write_bytes(b"")
            program.start()
            wait_for_all(duo, siem, LOG_TYPES, program)
            assert program.end() == exit_codes.OK

    errors = program.lines("ERROR")
    for log_type, content in damaged.items():
        assert any(f"main/{log_type} " in line and "kept as" in line for line in errors), log_type
        (aside,) = folder.glob(f"main.{log_type}.siem.json.unreadable-*")
        assert aside.read_bytes() == content
    assert_checkpoints_readable(tmp_path)
    again = repeated(siem)
    if previous == "kept":
        assert all(again[t] <= most_in_a_bundle(t) for t in LOG_TYPES), again
    else:
        assert all(again.values()), again  # from the start of the look-back


def _damage(folder):
    """Emptied, cut, another stream's, Duo Log Sync's: one for each log. What stands there then."""
    auth, activity = (folder / f"main.{t}.siem.json" for t in ("auth", "activity"))
    contents = {
        "auth": b"",
        "activity": activity.read_bytes()[: activity.stat().st_size // 2],
        "telephony": auth.read_bytes(),
        "trustmonitor": b"1700000000000",
    }
    for log_type, content in contents.items():
        (folder / f"main.{log_type}.siem.json").write_bytes(content)
    return contents


def test_the_program_goes_on_where_duo_log_sync_stopped(tmp_path):
    at = 1_234
    state = tmp_path / "their-state"
    state.mkdir()
    with Duo(tmp_path) as duo, SiemReceiver() as siem:
        duo.add_backlog(dict.fromkeys(LOG_TYPES, 3_000), until_secs_ago=300)
        named = {log_type: _stopped_at(duo, log_type, at, state) for log_type in LOG_TYPES}
        theirs = {path: path.read_bytes() for path in state.iterdir()}
        with Program(tmp_path, _their_config(tmp_path, duo, siem, state)) as program:
            expected = {t: set(duo.simulator.produced_ids(t)[at + 1 :]) for t in LOG_TYPES}
            wait_until(lambda: all(expected[t] <= siem.unique_ids(t) for t in LOG_TYPES), "everything after their checkpoints")
            code = program.end()

    assert code == exit_codes.OK
    for log_type in LOG_TYPES:
        # Of these two their checkpoint does not name one row for sure: that row itself comes once more, and none before it.
        repeats = {named[log_type]} if log_type in {"trustmonitor", "telephony"} else set()
        assert siem.unique_ids(log_type) == expected[log_type] | repeats, log_type
    assert {path: path.read_bytes() for path in theirs} == theirs
    assert sum(repeated(siem).values()) == 0


def _stopped_at(duo, log_type, at, state):
    """Writes the checkpoint that Duo Log Sync leaves behind a row, and lets another event happen in that row's millisecond."""
    row, event_id = duo.simulator.produced_rows(log_type)[at], duo.simulator.produced_ids(log_type)[at]
    milliseconds = log_types.LOG_TYPES[log_type].row_key(row).time_ms
    duo.simulator.add(log_type, 1, at_ms=milliseconds)
    position = {
        "auth": [str(milliseconds), event_id],
        "trustmonitor": milliseconds + 1,
    }.get(log_type, f"{milliseconds + 1},{event_id}")
    (state / f"{log_type}_checkpoint_data.txt").write_text(json.dumps(position) + "\n")
    return event_id


def _their_config(folder, duo, siem, state):
    path = folder / "config.yml"
    path.write_text(f"""\
version: '1.0.0'
dls_settings:
  log_filepath: '{folder}/duologsync.log'
  log_format: 'JSON'
  api:
    offset: 180
    timeout: 120
    port: {duo.simulator.port}
    ca_file: '{duo.files.ca_file}'
  checkpointing:
    enabled: True
    directory: '{state}'
servers:
  - id: 'siem'
    hostname: '127.0.0.1'
    port: {siem.port}
    protocol: 'TCP'
    cert_filepath: ''
account:
  ikey: '{IKEY}'
  skey: '{duo.skey}'
  hostname: 'localhost'
  endpoint_server_mappings:
    - server: 'siem'
      endpoints: ['auth', 'telephony', 'trustmonitor', 'activity']
  is_msp: False
""")
    return path
