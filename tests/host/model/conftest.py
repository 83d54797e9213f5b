"""What a model does step by step is the same on a narrow one."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def _sd15(_narrow_sd15: Any) -> Any:
    return _narrow_sd15
