"""What a training keeps goes to a folder of the test's own, empty at first; every step is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def temp(tmp_path: Path) -> Iterator[Path]:
    """The host's temporary folder."""
    import folder_paths

    before = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path / "temp"))
    yield tmp_path / "temp"
    folder_paths.set_temp_directory(before)


@pytest.fixture(autouse=True)
def _each_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host leaves out steps that come within a tenth of a second of another, and tests stop at them."""
    import comfy.utils

    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0.0)
