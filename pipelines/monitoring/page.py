"""The status page as it is sent: one HTML file with its style and its script in it, and the policy that lets only those run.

Place in the flow: ``routes`` answers with it. Contract: nothing of a run is in it. The page asks for ``status.json`` and puts
what it gets into the document as text, never as HTML, so no name that Duo or anybody else has chosen can become a script; and
were it to try, the policy names the one script and the one style that may run, by their digests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Page(NamedTuple):
    """The page, and its Content-Security-Policy."""

    content: bytes
    policy: str


@functools.cache
def page() -> Page:
    """Read when it is first asked for."""
    html = (files("pipelines.monitoring") / "page.html").read_text(encoding="utf-8")
    styles = " ".join(_digest(each) for each in _STYLE.findall(html))
    scripts = " ".join(_digest(each) for each in _SCRIPT.findall(html))
    policy = (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html.encode("utf-8"), policy)


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
