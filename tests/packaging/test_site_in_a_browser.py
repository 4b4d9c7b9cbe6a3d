"""The site as somebody reads it who was given its files: in a real browser, without a server."""

import pytest

from docs.site import build as site
from tests.monitoring.browser import browser

pytestmark = pytest.mark.servers


def test_the_search_finds_a_word_and_nothing_is_asked_of_anybody(tmp_path):
    site.build(tmp_path / "site")
    asked, errors = [], []
    with browser() as chromium:
        page = chromium.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((tmp_path / "site" / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("DeadLettersCannotBeWritten")
        found = page.locator(".md-search-result__item").first
        found.wait_for(timeout=60_000)
        assert "Alert" in found.inner_text()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
