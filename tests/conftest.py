"""What all lanes share: a file that is slow as a whole is not even imported for the fast lane."""

from __future__ import annotations

from pathlib import Path

import pytest

_SLOW = "pytestmark = pytest.mark.slow"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make fast`: diffusers alone takes seconds to import."""
    if config.getoption("markexpr") != "not slow" or collection_path.suffix != ".py":
        return None
    return True if _SLOW in collection_path.read_text(encoding="utf-8").splitlines() else None
