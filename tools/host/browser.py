"""Where a Chromium is found for the browser lane."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
"""Headless without a GPU, and without the browser's own traffic."""


def find_browser() -> Path | None:
    """Return KLORA_BROWSER, else the first Chromium or Chrome on the path."""
    named = os.environ.get("KLORA_BROWSER")
    if named:
        return Path(named) if Path(named).is_file() else None
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    return next((Path(found) for name in names if (found := shutil.which(name))), None)
