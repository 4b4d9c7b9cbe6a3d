"""From the Markdown that GitHub reads to the one that MkDocs reads: the same pages, without a second copy of them.

Place: between the documents and ``build``. Contract: pure functions of a page's text; what stands in a block of code stays as
it is. Two things differ: a list may follow a paragraph without an empty line, and what belongs to an item is indented by four.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ITEM = re.compile(r"( *)([-*]|\d+\.) +")
_FENCE = re.compile(r" *(```+|~~~+)")
_CODE_OR_LINK = re.compile(
    r"(```.*?```|`[^`\n]*`)|(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)\s]*)?\)",
    re.DOTALL,
)
_WITHIN = 4


def for_mkdocs(text: str) -> str:
    """A page with its lists as MkDocs takes them."""
    return "\n".join(_lines(text.split("\n")))


def with_links(text: str, look: Callable[[str], str | None]) -> str:
    """A page whose links within the repository are what ``look`` makes of each; None leaves the words without a link."""

    def replaced(match: re.Match[str]) -> str:
        code, image, words, target, anchor = match.groups()
        if code or not target or "://" in target:
            return match[0]
        found = look(target)
        return words if found is None else f"{image}[{words}]({found}{anchor or ''})"

    return _CODE_OR_LINK.sub(replaced, text)


def _lines(lines: list[str]) -> Iterator[str]:
    inside: list[tuple[int, int]] = []  # of the items around this line: the indents of their mark, and of what belongs to them
    fence, before = "", ""
    for line in lines:
        item = None if fence else _ITEM.match(line)
        if line.strip() and not fence:
            indent = len(line) - len(line.lstrip())
            inside = [around for around in inside if indent >= around[1] or (indent > around[0] and not item)]
        if item:
            if before.strip() and (_FENCE.match(before) or not (inside or _ITEM.match(before) or before.startswith(" "))):
                yield ""
            yield " " * _WITHIN * len(inside) + line.lstrip()
            inside.append((len(item[1]), len(item[0])))
        else:
            yield _within(line, inside)
        opened = _FENCE.match(line)
        if opened:
            fence = "" if fence and line.strip().startswith(fence) else fence or opened[1]
        before = line


def _within(line: str, inside: list[tuple[int, int]]) -> str:
    """A line that belongs to an item, in its place."""
    spaces = len(line) - len(line.lstrip())
    if not inside or not line.strip() or not spaces:
        return line
    return " " * (_WITHIN * len(inside) + max(0, spaces - inside[-1][1])) + line.lstrip()
