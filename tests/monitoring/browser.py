"""A real browser for the page: Debian's Chromium without a window, driven by Playwright.

Contract: whatever a page logs, throws, asks for or pops up is kept, so that a test can say that there was none of it.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, sync_playwright


@dataclass
class Seen:
    """What a page did beside being shown."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@contextmanager
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is missing: install Debian's package chromium"
    with sync_playwright() as playwright:
        # As root there is no sandbox; the only pages are ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield started
        finally:
            started.close()


def opened(browser: Browser, url: str, width: int = 1280, height: int = 900, **options) -> tuple[Page, Seen]:
    """A page of a context of its own, once it has shown its first answer."""
    page = browser.new_context(viewport={"width": width, "height": height}, **options).new_page()
    seen = Seen()

    def dismiss(dialog):
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("console", lambda message: seen.errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("dialog", dismiss)
    page.goto(url)
    page.wait_for_selector("#rows tr", state="attached")
    return page, seen
