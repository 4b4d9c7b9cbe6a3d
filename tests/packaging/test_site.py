"""The documents as a site: whole, without a broken link or anchor, without anything from elsewhere, and saying the same."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from mkdocs.exceptions import Abort

from docs.site import build as site
from docs.site.dialect import for_mkdocs

# Without the menus around it, and what MkDocs adds.
_COUNTED = {"li", "pre", "tr", "td", "h1", "h2", "h3", "blockquote"}


class _Article(HTMLParser):
    """What is in the text of a page, and what the page loads."""

    def __init__(self, text: str, inside: str = "") -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.loaded: list[str] = []
        self._inside, self._within = inside, not inside
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within |= tag == self._inside
        self.counts[tag] += self._within and tag in _COUNTED
        self.loaded += [
            value or "" for name, value in attrs if tag in {"script", "img", "link", "iframe"} and name in {"src", "href"}
        ]

    def handle_endtag(self, tag: str) -> None:
        self._within &= tag != self._inside


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """MkDocs is strict: a link or an anchor that leads nowhere fails here."""
    folder = tmp_path_factory.mktemp("site")
    site.build(folder)
    return folder


def html_of(page: Path) -> str:
    return "index.html" if str(page) == "README.md" else str(page).replace("README.md", "index.html").replace(".md", ".html")


def test_every_document_is_a_page(built):
    assert [str(page) for page in site.pages() if not (built / html_of(page)).exists()] == []


@pytest.mark.parametrize("page", site.pages(), ids=str)
def test_a_page_has_all_that_the_document_has(page, built):
    document = MarkdownIt("commonmark").enable("table").render((site.ROOT / page).read_text(encoding="utf-8"))
    shown = _Article((built / html_of(page)).read_text(encoding="utf-8"), inside="article")
    assert +shown.counts == +_Article(document).counts


def test_nothing_is_loaded_from_elsewhere(built):
    pages = [path for path in built.rglob("*.html") if path.name != "404.html"]
    loaded = {url for path in pages for url in _Article(path.read_text(encoding="utf-8")).loaded}
    assert len(pages) > 15
    assert [url for url in sorted(loaded) if "//" in url or url.startswith("/")] == []


def test_every_picture_is_there(built):
    pages = [path for path in built.rglob("*.html") if path.name != "404.html"]
    shown = {
        page.parent / url
        for page in pages
        for url in re.findall(r'(?:<img[^>]* src|srcset)="([^"]+)"', page.read_text("utf-8"))
    }
    assert len(shown) > 2
    assert [str(path) for path in shown if not path.exists()] == []


@pytest.mark.parametrize("link", ["[x](docs/nowhere.md)", "[x](#nowhere)", "[x](CHANGELOG.md#nowhere)"])
def test_a_link_that_leads_nowhere_is_an_error(link, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "README.md").write_text(f"# Title\n\n{link}\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n")
    with pytest.raises(Abort):
        site.build(tmp_path / "site")


def test_a_list_behind_a_paragraph_and_code_in_an_item_are_kept():
    assert for_mkdocs("Two:\n- a\n  b\n\n  ```\n  c\n  ```\n- d") == "Two:\n\n- a\n    b\n\n    ```\n    c\n    ```\n\n- d"
