"""Whatever Duo, a file's name or an error says: a terminal shows it and does not obey it, and no handler trips over it."""

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import logs
from pipelines.log_lines import JsonLines, TerminalLines
from pipelines.printable import printable, printable_lines, say

ESC = "\x1b[2J\x1b]0;owned\x07"
HOSTILE = {
    "escape sequence": (ESC, r"\x1b[2J\x1b]0;owned\x07"),
    "C1 control": ("a\x9b31mb", r"a\x9b31mb"),
    "line breaks": ("a\nb\r\nc\u2028d\u2029e\x85f\x0bg", r"a\nb\r\nc\u2028d\u2029e\x85f\x0bg"),
    "direction marks": ("a\u202eb\u2066c\u200fd", r"a\u202eb\u2066c\u200fd"),
    "lone surrogate": ("bob\ud800", r"bob\ud800"),
    "NUL and DEL": ("a\x00b\x7fc", r"a\x00b\x7fc"),
    "invisible tag": ("a\U000e0041b", r"a\U000e0041b"),
}
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_visible_is_spelt_out(name):
    text, shown = HOSTILE[name]
    assert printable(text) == shown
    assert printable(f"Zoë 東京 {text}") == f"Zoë 東京 {shown}"


def test_a_text_of_ours_keeps_its_lines():
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"


def record(message, *args, exc_info=None):
    return logging.LogRecord("duologsync", logging.WARNING, __file__, 1, message, args, exc_info)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("made", [JsonLines, TerminalLines])
def test_a_record_is_one_line_that_commands_nothing(made, name):
    text, _ = HOSTILE[name]
    line = made().format(record("reading %s at %s.", text, "api-1.example.com"))
    assert line.isprintable()
    line.encode("utf-8")
    if made is JsonLines:
        assert json.loads(line)["message"] == f"reading {text} at api-1.example.com."


def test_a_name_that_people_can_read_stays_as_it_is():
    assert "Zoë 東京" in JsonLines().format(record("reading %s.", "Zoë 東京"))
    assert "Zoë 東京" in TerminalLines().format(record("reading %s.", "Zoë 東京"))


def test_no_line_of_a_traceback_looks_like_a_record():
    error = ValueError(f"first\n12:00:00 ERROR   forged{ESC}")
    text = TerminalLines().format(record("it failed", exc_info=(ValueError, error, None)))
    assert [line.startswith("    ") for line in text.splitlines()] == [False, True, True]
    assert "\x1b" not in text


def test_a_traceback_tells_where_and_what_kind_and_what_it_says_only_where_that_is_wanted():
    error = ValueError("a row of somebody's")
    error.__cause__ = OSError(28, "No space left on device")
    failed = record("it failed", exc_info=(ValueError, error, None))
    shown = TerminalLines().format(failed)
    assert [line.strip() for line in shown.splitlines() if "Error" in line] == [
        "OSError: [Errno 28] No space left on device",
        "ValueError (--verbose shows what it says)",
    ]
    assert "ValueError: a row of somebody's" in TerminalLines(texts=True).format(failed)


def test_a_record_that_cannot_be_rendered_is_not_lost_in_silence(capsys):
    logs.set_up()
    logging.getLogger("x").handle(record("%d of %d", 1))
    assert capsys.readouterr().err == "WARNING '%d of %d' (TypeError in the log itself)\n"


class Nameless:
    """Something that another library logs, and that cannot say what it is."""

    def __repr__(self):
        raise RuntimeError("a bug")


class Endless:
    def __repr__(self):
        return repr(self)


@pytest.mark.parametrize(("message", "told"), [(Nameless(), "by x (RuntimeError"), (Endless(), "by x (RecursionError")])
def test_what_cannot_be_shown_at_all_does_not_fail_whoever_logs_it(capsys, message, told):
    logs.set_up()
    logging.getLogger("x").warning(message)
    assert told in capsys.readouterr().err


def test_a_code_that_is_no_text_does_not_fail_whoever_logs_it(capsys):
    logs.set_up()
    logging.getLogger("x").warning("text", extra={"code": Nameless()})
    assert json.loads(capsys.readouterr().err)["message"] == "text"


def test_what_other_libraries_add_to_a_record_is_not_taken_for_a_notice():
    foreign = record("text")
    foreign.code, foreign.about = 404, "a text"
    assert json.loads(JsonLines().format(foreign)).keys() == {"time", "level", "logger", "message"}


def test_any_encoding_takes_what_a_command_prints():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    say(f"Zoë {ESC} \ud800", to=stream)
    assert stream.buffer.getvalue() == b"Zo\\xeb \\x1b[2J\\x1b]0;owned\\x07 \\ud800\n"


def test_a_command_whose_terminal_knows_only_ascii_ends_without_a_traceback(config):
    config.write_text(config.read_text().replace("name: siem", 'name: "si\\u00ebm"'), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "validate", str(config)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "\\u2192" in done.stdout or "name" in done.stderr


@pytest.fixture
def log_file(tmp_path):
    yield tmp_path / "logs" / "program.log"
    for handler in logging.getLogger().handlers:
        handler.close()


def test_a_log_file_takes_what_no_encoding_can_write_and_is_private(log_file, capsys):
    logs.set_up(log_file=str(log_file))
    logging.getLogger("x").warning("name %s", "bob\ud800")
    assert json.loads(log_file.read_text())["message"] == "name bob\ud800"
    assert log_file.stat().st_mode & 0o777 == 0o600
    assert "Traceback" not in capsys.readouterr().err


def test_files_that_are_moved_on_never_touch_what_links_in_their_way_lead_to(log_file, tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_bytes(b"another program's data")
    monkeypatch.setattr(logs, "_FILE_BYTES", 500)
    logs.set_up(log_file=str(log_file))
    for number in range(1, 7):
        log_file.with_name(f"program.log.{number}").symlink_to(victim)
    for number in range(100):
        logging.getLogger("x").warning("record %d", number)
    assert victim.read_bytes() == b"another program's data"
    assert not log_file.is_symlink()
    assert "record 99" in log_file.read_text()


def test_where_files_cannot_be_moved_on_the_log_goes_on_and_says_so_once(log_file, monkeypatch, capsys):
    monkeypatch.setattr(logs, "_FILE_BYTES", 500)
    logs.set_up(log_file=str(log_file))
    for number in range(1, 6):
        log_file.with_name(f"program.log.{number}").mkdir()
    for number in range(30):
        logging.getLogger("x").warning("record %d", number)
    err = capsys.readouterr().err
    assert err.count("cannot be written as it should be") == 1
    assert "Traceback" not in err
    assert all(f"record {number}" in log_file.read_text() for number in range(30))


def test_a_full_disk_costs_no_traceback(log_file, monkeypatch, capsys):
    logs.set_up(log_file=str(log_file))
    handler = logging.getLogger().handlers[1]
    handler.stream.close()
    handler.stream = Path("/dev/full").open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - the handler's own
    for _ in range(3):
        logging.getLogger("x").warning("a record")
    err = capsys.readouterr().err
    assert err.count("No space left on device") == 1
    assert err.count("a record") == 3
    assert "Traceback" not in err
    handler.stream = None
