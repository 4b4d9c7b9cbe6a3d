"""Files that are no configuration at all: each has one clear message, at its line."""

# ruff: noqa: E501 - a table reads best with one case a line

import os

import pytest

from pipelines.config import ConfigProblems, load
from pipelines.config.problems import Findings
from pipelines.config.yaml_file import MAX_BYTES, read
from tests.config.conftest import OWN, marked_line, replaced

BAD = {
    "empty": ("", "the file is empty", "sample"),
    "only a comment": ("# nothing\n", "the file is empty", "sample"),
    "only a marker": ("---\n", "the file is empty", "sample"),
    "a list": ("- a\n", "not a mapping", "version: 2"),
    "a text": ("just text\n", "not a mapping", "version: 2"),
    "tab": ("a:\n\tb: 1 #!\n", "a tab is used", "Use spaces"),
    "no colon": ("a: 1\nb #!\nc: 1\n", "not a key with a value", "key: value"),
    "two colons": ("a: b: c #!\n", "a colon stands", "quotes"),
    "indentation": ("a:\n  b: 1\n c: 2 #!\n", "is indented by 1 space", "Give it 0 spaces"),
    "open quote": ("a: 'x #!\nb: 1\n", "a quote is opened", "Close it"),
    "open list": ("a: [x, #!\nb: 1\n", "a list is opened", "Close it with ]"),
    "open mapping": ("a: {x: 1, #!\nb\n", "a mapping is opened", "Close it with }"),
    "alias": ("a: *nowhere #!\n", "begins with *", "quotes"),
    "at sign": ("a: @x #!\n", "begins with a character", "quotes"),
    "two documents": ("a: 1\n---\nb: 2\n", "a second document", "Keep one"),
    "escape of no character": ('a: "\\U00110000"\n', "not valid YAML", "escape"),
    "escape of no number": ('a: "\\Uffffffff"\n', "not valid YAML", "escape"),
    "control character": ("a: 1\nb: \x07\n", "a control character", "Remove"),
    "no UTF-8": (b"a: 1\nb: \xff\n", "not UTF-8", "Save it as UTF-8"),
    "UTF-16": ("a: 1".encode("utf-16"), "UTF-16", "Save it as UTF-8"),
    "binary": (b"\x7fELF\x00\x01", "binary", "YAML file"),
    "too large": (b"#" * (MAX_BYTES + 1), "larger than", "configuration file"),
    "too deep": ("a: " + "[" * 200 + "]" * 200, "nested deeper", "Write the values out"),
    "deep to the limits": ("[" * 100_000, "nested deeper", "Write the values out"),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{n}: &{n} [{','.join([f'*{m}'] * 9)}]\n" for m, n in zip("abcdefg", "bcdefgh", strict=True)),
        "more than",
        "without aliases",
    ),
    "alias of itself": ("a: &a [*a]\n", "nested deeper", "without aliases"),
    "key given twice": ("a: 1\nb: 2\na: 3 #!\n", "given twice, first in line 1", "Keep one"),
    "merge key": ("a: &a {b: 1}\nc:\n  <<: *a #!\n", "merge keys", "Write the keys out"),
    "key of a number": ("1: a #!\n", "a key is not a text", "quotes"),
    "key of a list": ("? [a] #!\n: b\n", "a key is not a text", "quotes"),
    "tag": ("a: !!python/object:os.system {} #!\n", "YAML tag", "Remove"),
    "tag of a scalar": ("a: !secret x #!\n", "means something", "quotes"),
    "huge number": (f"a: {'9' * 5000} #!\n", "unusual", "plain digits"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda name: name.replace(" ", "-"))
def test_what_is_not_a_configuration_says_why(case, write):
    text, what, fix = BAD[case]
    findings = Findings(write(text))
    read(findings.file, findings)
    problem = findings.problems[0]
    assert what in problem.what
    assert fix in problem.fix
    if isinstance(text, str) and "#!" in text:
        assert problem.line == marked_line(text)


@pytest.mark.parametrize("case", BAD, ids=lambda name: name.replace(" ", "-"))
def test_load_raises_nothing_else(case, write):
    with pytest.raises(ConfigProblems):
        load(write(BAD[case][0]))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path / "nothing.yml")
    assert str(caught.value) == f"{tmp_path}/nothing.yml: the file does not exist. Check the path."


@pytest.mark.parametrize(("make", "what"), [(os.mkdir, "a directory"), (os.mkfifo, "not a regular file")])
def test_not_a_file(make, what, tmp_path):
    make(tmp_path / "config.yml")
    with pytest.raises(ConfigProblems, match=what):
        load(tmp_path / "config.yml")


def test_unreadable_file(write, monkeypatch):
    path = write(OWN)

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ConfigProblems, match="cannot be read: Permission denied"):
        load(path)


def test_impossible_file_name(tmp_path):
    with pytest.raises(ConfigProblems, match="cannot be read"):
        load(tmp_path / "a\0b")


def test_byte_order_mark_and_windows_line_ends_are_fine(write):
    assert load(write(b"\xef\xbb\xbf" + OWN.replace("\n", "\r\n").encode())).dialect == "own"


def test_aliases_can_be_used_in_moderation(write):
    text = replaced(
        replaced(OWN, "host: siem.example.com", "host: &siem siem.example.com"), "storage:", "log_file: *siem\nstorage:"
    )
    assert load(write(text)).job.log_file.endswith("/siem.example.com")


def test_surrogates_do_not_stop_the_message(write):
    text = replaced(OWN, "kind: tcp", 'kind: "\\ud800"')
    with pytest.raises(ConfigProblems) as caught:
        load(write(text))
    str(caught.value).encode()
