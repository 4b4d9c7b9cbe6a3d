"""The status page as it is sent: ``page.html`` with ``page.css`` and ``page.js`` in it, and the policy by which only they run.

Place in the flow: ``routes`` answers with it. Contract: nothing of a run is in it. The page asks for ``status.json`` and puts
what it gets into the document as text, never as HTML, so no name that Duo or anybody else has chosen can become a script; and
were it to try, the policy names the one script and the one style that may run, by their digests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from typing import NamedTuple


class Page(NamedTuple):
    """The page, and its Content-Security-Policy."""

    content: bytes
    policy: str


@functools.cache
def page() -> Page:
    """Read when it is first asked for."""
    html, style, script = map(_file, ("page.html", "page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.replace("/*page.css*/", style).replace("/*page.js*/", script).encode("utf-8"), policy)


def _file(name: str) -> str:
    return (files("pipelines.monitoring") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
