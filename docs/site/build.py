"""Builds the documentation as a site: ``python -m docs.site.build [FOLDER]``, by default into ``build/site``.

Place: takes the Markdown that the repository has, adds the files that it links to as pages of their own, and calls MkDocs.
Contract: nothing is fetched, and the site needs no server. Each warning of MkDocs, such as a link or anchor that leads nowhere,
is an error. A new document stands under "More" until it is placed here.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from mkdocs.commands.build import build as mkdocs_build
from mkdocs.config import load_config

from docs.site.dialect import for_mkdocs, with_links

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
_NAV: dict[str, tuple[str, ...]] = {
    "Start": ("README.md", "docs/install.md", "docs/upgrade.md"),
    "Set up": ("docs/destinations.md", "docs/formats.md", "docs/routes.md", "docs/receivers.md"),
    "Operate": ("docs/monitoring.md", "docs/status.md", "docs/freshness.md", "docs/runbook.md", "docs/audit.md"),
    "Run elsewhere": ("docs/runners.md", "docs/flink.md", "docs/dataflow.md"),
    "Reference": (
        "docs/configuration.md",
        "docs/exit-codes.md",
        "docs/metrics.md",
        "docs/cef.md",
        "docs/severity.md",
        "CHANGELOG.md",
    ),
    "Work on it": ("CONTRIBUTING.md", "docs/architecture.md", "benchmarks/README.md"),
}
_IMAGES = Path("docs") / "images"


def pages() -> list[Path]:
    """Every document, relative to the repository."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def nav() -> list[dict[str, list[str]]]:
    """The menu: what is placed and there, and what nobody has placed."""
    there = [str(page) for page in pages()]
    placed = {title: [page for page in names if page in there] for title, names in _NAV.items()}
    known = {page for names in placed.values() for page in names}
    placed["More"] = [page for page in there if page not in known]
    return [{title: names} for title, names in placed.items() if names]


def stage(folder: Path) -> None:
    """Writes every page, and what it links to, as MkDocs takes it."""
    for page in pages():
        text = (ROOT / page).read_text(encoding="utf-8")
        target = folder / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(for_mkdocs(with_links(text, lambda link, page=page: _staged(link, page, folder))), encoding="utf-8")
    if (ROOT / _IMAGES).exists():
        shutil.copytree(ROOT / _IMAGES, folder / _IMAGES)
    (folder / "assets").mkdir()
    shutil.copy(HERE / "iframe-worker.js", folder / "assets")


def _staged(link: str, page: Path, folder: Path) -> str | None:
    """Where a link of a page leads within the site. What is no document becomes a page that shows it; None: a folder."""
    target = ((ROOT / page).parent / link).resolve()
    up = "../" * (len(page.parts) - 1)
    if target.is_dir():
        return None
    if target.suffix == ".md" or not target.exists():
        return link  # MkDocs says where it leads nowhere
    path = target.relative_to(ROOT)
    if path.is_relative_to(_IMAGES):
        return link
    shown = folder / "source" / f"{path}.md"
    shown.parent.mkdir(parents=True, exist_ok=True)
    shown.write_text(_source(path, target.read_text(encoding="utf-8")), encoding="utf-8")
    return f"{up}source/{path}.md"


def _source(path: Path, text: str) -> str:
    language = {".py": "python", ".yml": "yaml", ".yaml": "yaml", ".json": "json", ".sh": "sh"}.get(path.suffix, "text")
    return f"---\nsearch: {{exclude: true}}\n---\n# {path.name}\n\n`{path}`\n\n~~~~{language}\n{text}\n~~~~\n"


def build(folder: Path) -> None:
    """Makes the site. Raises mkdocs.exceptions.Abort where MkDocs warned."""
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary) / "docs"
        stage(staged)
        config = load_config(str(HERE / "mkdocs.yml"), docs_dir=str(staged), site_dir=str(folder.absolute()), nav=nav())
        config.plugins.on_startup(command="build", dirty=False)
        mkdocs_build(config)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site")
