"""Makes the pictures of the status page that the README shows: ``python -m tests.monitoring.screenshots [FOLDER]``.

The page is the real one, served by the real server; what it shows is invented, so that the pictures have a bit of everything.
"""

import sys
import tempfile
from pathlib import Path

import msgspec
from playwright.sync_api import Browser

from pipelines.monitoring import server
from pipelines.monitoring.exchange import Answer
from pipelines.monitoring.report import Report
from pipelines.monitoring.routes import routes
from pipelines.monitoring.server import Route
from tests.monitoring import reports
from tests.monitoring.browser import browser, opened
from tests.ports import free_port
from transforms.settings import Monitoring

FOLDER = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 150_000


def take(started: Browser, report: Report, folder: Path) -> list[Path]:
    """One picture in light, one in dark."""
    table = dict(routes(None, ""))
    table["/status.json"] = Route(lambda _: Answer(200, "application/json", msgspec.json.encode(report)))
    made = []
    with tempfile.TemporaryDirectory() as directory:
        served = server.start(Monitoring(port=free_port()), table, directory)
        for scheme in ("light", "dark"):
            page, _ = opened(started, served.url, width=1100, height=1000, color_scheme=scheme)
            page.evaluate("document.fonts.ready")
            made.append(folder / f"page-{scheme}.png")
            page.screenshot(path=made[-1])
        served.close()
    return made


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as started:
        for path in take(started, reports.for_the_readme(), folder):
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
