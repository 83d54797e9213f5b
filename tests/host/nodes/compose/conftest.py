"""A narrow SD1.5, a subject and a style for it, and three styles more."""

from __future__ import annotations

import pytest

from tests.support.host.nodes import UNET_LAYERS
from tests.support.host.reference import random_lora


@pytest.fixture(scope="module")
def _sd15(_narrow_sd15):
    return _narrow_sd15


@pytest.fixture(scope="module")
def styles(_sd15):
    """Three styles that differ in layers, size and rank."""
    model = _sd15.model.model
    return [
        random_lora(model, UNET_LAYERS[i:], rank=3 + i, seed=40 + i, scale=0.2 + 0.1 * i) for i in range(3)
    ]
