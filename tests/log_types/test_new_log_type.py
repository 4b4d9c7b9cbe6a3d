"""A log type that is registered is known everywhere: nothing else has a list of them."""

import json
import subprocess
import sys

_REGISTER = """\
import json, sys
from dataclasses import replace
from transforms.formats.json_lines import JsonOptions
from transforms.formats.cef import CefOptions
from transforms.duo import log_types
log_types.LOG_TYPES["brand_new"] = replace(log_types.LOG_TYPES["telephony"], name="brand_new", rows_key="entries", opt_in=True)
"""
_CONFIG = """\
version: 2
accounts: [{api_host: api-1.duosecurity.com, ikey: DIXXXXXXXXXXXXXXXXXX, skey: env:SKEY}]
destinations: [{name: siem, kind: tcp, host: siem.example.com, port: 514, format: cef}]
routes: [{log_types: [auth, brand_new], destinations: siem}]
"""


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", _REGISTER + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"SKEY": "s" * 40},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_configuration_accepts_it_without_loading_beam(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text(_CONFIG + f"storage: {{checkpoint_dir: {tmp_path}/checkpoints}}\n")
    out = run(
        "from pipelines import cli; code = cli.main(['validate', sys.argv[1]])\n"
        "assert 'apache_beam' not in sys.modules, 'Beam was loaded'; sys.exit(code)",
        str(config),
    )

    assert "brand_new" in out


def test_schema_and_sample_name_it():
    schema = json.loads(run("from pipelines import cli; sys.exit(cli.main(['schema']))"))

    assert "brand_new" in schema["$defs"]["RouteSection"]["properties"]["log_types"]["items"]["enum"]
    assert "brand_new" in run("from pipelines import cli; sys.exit(cli.main(['schema', '--sample']))")


def test_its_answer_is_read_and_its_rows_are_written_in_every_format():
    out = run(
        """
from transforms.duo.client.answers import read_page
from transforms.coders import DuoEvent, Stream
from transforms.formats import make_formatter
from transforms.formats.cef import CefOptions
from transforms.formats.json_lines import JsonOptions
from transforms.settings import Format, SyslogHeader
body = b'{"stat":"OK","response":{"entries":[{"telephony_id":"a","type":"sms"}],"metadata":{"next_offset":"7"}}}'
answer = read_page(body, log_types.LOG_TYPES["brand_new"])
event = DuoEvent(Stream("main", "brand_new"), answer.rows[0])
header = SyslogHeader("rfc5424")
bare, dls = Format(CefOptions()), Format(CefOptions(profile="dls"))
settings = [Format(JsonOptions(envelope=True)), Format(JsonOptions(), header), bare, dls]
print(json.dumps([answer.next_offset, *[make_formatter(s).format(event).decode() for s in settings]]))
"""
    )
    offset, *messages = json.loads(out)

    assert offset == "7"
    assert len(messages) == 4
    assert all("telephony" in message for message in messages)
