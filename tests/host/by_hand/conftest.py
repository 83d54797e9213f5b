"""The tests here sample much: on a narrow SD1.5."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def _sd15(_narrow_sd15):
    return _narrow_sd15
