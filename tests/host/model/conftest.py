"""The tiny SD1.5 of these tests is narrow: all its layers under the same names, at a fifth of the work."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import comfy.sample
import comfy.sd
import comfy.supported_models
import pytest
import torch

from tools.tiny.architectures import SD15_UNET
from tools.tiny.models import unet

WIDTH = 128
"""The host tells SD1.5 by its width of 320, so it is told that this is SD1.5's."""


@pytest.fixture(scope="session")
def _sd15(_sd15: Any) -> Any:
    with torch.no_grad():
        weights = unet(SD15_UNET | {"model_channels": WIDTH})
    with torch.inference_mode(), patch.dict(comfy.supported_models.SD15.unet_config, model_channels=WIDTH):
        model = comfy.sd.load_diffusion_model_state_dict(weights)
    return _sd15._replace(model=model)
