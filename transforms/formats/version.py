"""The version that messages carry. Formats may not import ``pipelines``; a test keeps this equal to its version."""

from __future__ import annotations

PRODUCT_VERSION = "1.0.0"
