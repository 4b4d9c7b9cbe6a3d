"""The catalog of notices: codes are unique and stable, texts are for people."""

import json
import logging
import re

import pytest

from pipelines import logs
from pipelines.log_lines import JournalLines, JsonLines, TerminalLines
from transforms.notices import CATALOG, GROUPS, destinations, duo
from transforms.notices.notice import Notice, tell


def constants() -> list[tuple[str, Notice]]:
    return [
        (letter, notice) for letter, group in GROUPS.items() for notice in vars(group).values() if isinstance(notice, Notice)
    ]


def test_no_code_is_given_twice_and_each_stands_in_the_module_of_its_group():
    codes = [notice.code for _, notice in constants()]
    assert len(codes) == len(set(codes)) == len(CATALOG)
    assert [notice.code for letter, notice in constants() if not re.fullmatch(rf"DLS-{letter}\d{{3}}", notice.code)] == []


def test_a_notice_is_a_warning_or_an_error():
    assert {notice.level for notice in CATALOG.values()} == {logging.WARNING, logging.ERROR}


@pytest.mark.parametrize("notice", CATALOG.values(), ids=CATALOG)
def test_its_texts_are_whole_sentences_on_one_line(notice):
    assert notice.summary[0].isupper()
    assert not notice.summary.endswith(".")
    for text in (notice.meaning, notice.check, notice.fix):
        assert re.fullmatch(r"[A-Z'].*\.", text), text
        assert text.isprintable()
        assert "  " not in text
    assert len(notice.fix) <= 120  # it stands in every line


@pytest.fixture
def told(caplog):
    tell(logging.getLogger("duologsync.x"), duo.TLS, "%s: %s", "main/auth", "no", stream="main/auth", destination="siem")
    (record,) = caplog.records
    return record


def test_a_notice_has_its_level_and_says_its_code_wherever_the_line_ends(told):
    assert told.levelno == logging.WARNING
    assert told.getMessage() == "main/auth: no [DLS-D008]"
    assert told.filename == "test_catalog.py"


def test_as_json_it_has_a_key_for_each_thing_that_is_known(told):
    line = json.loads(JsonLines().format(told))
    assert line.pop("time")
    assert line == {
        "level": "WARNING",
        "logger": "duologsync.x",
        "code": "DLS-D008",
        "message": "main/auth: no",
        "stream": "main/auth",
        "destination": "siem",
        "fix": duo.TLS.fix,
        "runbook": "docs/runbook.md#dls-d008",
    }


def test_on_a_terminal_it_says_what_to_do_and_where_to_read_more(told):
    line = TerminalLines("https://wiki.example.com/runbook").format(told)
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d WARNING main/auth: no \[DLS-D008\] Exclude .* \(https://wiki.example.com/runbook#dls-d008\)", line
    )


def test_what_is_no_notice_has_no_empty_keys(caplog):
    caplog.set_level(logging.INFO)
    logging.getLogger("duologsync.x").info("it starts")
    assert sorted(json.loads(JsonLines().format(caplog.records[0]))) == ["level", "logger", "message", "time"]
    assert TerminalLines().format(caplog.records[0]).endswith(" INFO    it starts")


def test_the_journal_gets_a_priority_with_each_line(caplog):
    caplog.set_level(logging.DEBUG)
    logger = logging.getLogger("duologsync.x")
    tell(logger, destinations.MISCONFIGURED, "wrong", exc_info=ValueError("why"))
    tell(logger, duo.TLS, "odd")
    logger.info("it starts")
    logger.debug("details")
    lines = [JournalLines().format(record).split("\n") for record in caplog.records]
    assert lines[0][0].startswith("<3>wrong [DLS-S004] ")
    assert lines[0][-1] == "<3>ValueError (--verbose shows what it says)"
    assert [one[0][:3] for one in lines] == ["<3>", "<4>", "<6>", "<7>"]


def test_it_is_the_journal_only_where_stderr_is_the_very_stream_that_systemd_names(monkeypatch, tmp_path):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with (tmp_path / "socket").open("w") as stream:
        found = (tmp_path / "socket").stat()
        monkeypatch.setattr("sys.stderr", stream)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.set_up()
        assert isinstance(logging.getLogger().handlers[0].formatter, JournalLines)
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
        logs.set_up()
        assert isinstance(logging.getLogger().handlers[0].formatter, JsonLines)
