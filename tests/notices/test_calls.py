"""Nobody warns without a notice, and no notice is there that nobody gives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.packaging.test_imports import MODULES
from transforms.notices import CATALOG, GROUPS, duo
from transforms.notices.notice import Notice

_WARNING = {"warning", "warn", "error", "exception", "critical", "fatal"}
_HARMLESS_LEVELS = {"logging.INFO", "logging.DEBUG"}
_THE_ONE = "transforms.notices.notice"


def calls_without_a_notice(source: str) -> Iterator[str]:
    """The lines in which something is logged above INFO, or at a level that cannot be seen here, but by ``tell``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
            level = ast.unparse(node.args[0]) if node.args else ""
            if node.func.attr in _WARNING or (node.func.attr == "log" and level not in _HARMLESS_LEVELS):
                yield f"{node.lineno}: {ast.unparse(node)[:80]}"


def _is_logger(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text in {"logging", "log"} or "logger" in text.lower()


def test_whoever_warns_gives_a_notice():
    found = {
        module: lines
        for module, path in MODULES.items()
        if module != _THE_ONE and (lines := list(calls_without_a_notice(path.read_text())))
    }
    assert found == {}


def test_a_forgotten_notice_would_be_found():
    forgotten = """
_LOGGER.warning("x")
logging.getLogger("duologsync.x").error("x")
self._logger.exception("x")
_LOGGER.log(level, "x")
logging.critical("x")
"""
    fine = """
_LOGGER.info("x")
_LOGGER.log(logging.INFO, "x")
tell(_LOGGER, duo.TLS, "x")
parser.error("x")
self.accounts.log(log_type)
"""
    assert [line.partition(":")[0] for line in calls_without_a_notice(forgotten)] == ["2", "3", "4", "5", "6"]
    assert list(calls_without_a_notice(fine)) == []


def test_each_notice_is_given_somewhere():
    names = {
        name: notice.code for group in GROUPS.values() for name, notice in vars(group).items() if isinstance(notice, Notice)
    }
    assert set(names.values()) <= set(CATALOG)
    text = "\n".join(path.read_text() for module, path in MODULES.items() if not module.startswith("transforms.notices."))
    by_kind = Path(duo.__file__).read_text().partition("BY_KIND")[2]
    given = set(re.findall(r"\.([A-Z][A-Z_]+)\b", text)) | set(re.findall(r"\b[A-Z][A-Z_]+\b", by_kind))
    assert {name: code for name, code in names.items() if name not in given} == {}
