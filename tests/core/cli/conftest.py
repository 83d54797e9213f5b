"""Files for the commands."""

from __future__ import annotations

import pytest

from tests.support import loras


@pytest.fixture
def unet(tmp_path):
    """Two SDXL LoRAs, one kohya, one PEFT without the last two layers, with convolutions and an alpha."""
    cat = loras.make(tmp_path / "cat.safetensors", loras.UNET, "kohya-diffusers", seed=1, alpha=2)
    ink = loras.make(tmp_path / "ink.safetensors", loras.UNET[:-2], "peft", seed=2, ranks=(4, 3))
    return cat.path, ink.path
