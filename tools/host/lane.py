"""Whether a test lane can run on this machine; if not, why, in one line."""

from __future__ import annotations

import importlib.util
import sys

from .browser import find_browser
from .find import HostError, require_host


def missing(lane: str) -> str | None:
    """Return what the lane lacks, or None."""
    try:
        require_host()
    except HostError as error:
        return str(error)
    if lane == "browser":
        if importlib.util.find_spec("playwright") is None:
            return "the Python package playwright is not installed."
        if find_browser() is None:
            return "no Chromium or Chrome found; name one in KLORA_BROWSER."
    return None


def main(lane: str) -> int:
    """Print why the lane can't run and return 1, or return 0."""
    why = missing(lane)
    if why:
        print(why, file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
