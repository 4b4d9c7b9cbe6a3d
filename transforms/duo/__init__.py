"""Reading Duo: the only package that knows its API. ``ReadFromDuo`` is what pipelines are built with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.duo.io import ReadFromDuo

__all__ = ["ReadFromDuo"]


def __getattr__(name: str) -> Any:
    # Only who builds a pipeline waits for Beam to load: the configuration needs the log types, and ``status`` is to be quick.
    if name == "ReadFromDuo":
        from transforms.duo.io import ReadFromDuo

        return ReadFromDuo
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
