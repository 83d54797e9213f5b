"""A method of several passes on a model that no host owns: the weighted mean of its passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from klora_core.deltas import meet
from klora_core.files import read
from klora_core.loras import LoraInfo
from klora_core.methods import Method
from klora_core.pipelines import Fusion, fit, layers_of
from klora_core.plan import make_plan
from tests.support import pipelines
from tests.support.pipelines import model_of

from .test_fusion import files

pytestmark = pytest.mark.slow


class Mean(Method):
    """Two passes of one LoRA each, weighted."""

    name, paper, summary = "mean", "", ""

    def __init__(self, slots):
        self.slots = slots

    def who(self, moment):
        return np.stack([np.full(self.slots, lora, np.int8) for lora in (0, 1)])

    def weights(self, moment):
        return (0.25, 0.75)


class Only(Mean):
    """One LoRA everywhere."""

    def __init__(self, lora, slots):
        super().__init__(slots)
        self.lora = lora

    def who(self, moment):
        return np.full((1, self.slots), self.lora, np.int8)

    def weights(self, moment):
        return (1.0,)


@pytest.mark.parametrize("return_dict", [True, False])
def test_a_method_of_several_passes(return_dict, tmp_path):
    model = model_of(pipelines.make("flux"))
    made = files("flux", model, ("transformer", "transformer"), tmp_path)
    there = layers_of(model)
    pair = [fit(read(m.path), there) for m in made]
    rows = meet([lora.slots for lora in pair], ("subject", "style"))
    infos = [LoraInfo("c", "subject"), LoraInfo("s", "style")]
    g = torch.Generator().manual_seed(3)
    inputs = {
        "hidden_states": torch.randn(1, 4, 16, generator=g, dtype=pipelines.DTYPE),
        "encoder_hidden_states": torch.randn(1, 5, 24, generator=g, dtype=pipelines.DTYPE),
        "pooled_projections": torch.randn(1, 24, generator=g, dtype=pipelines.DTYPE),
        "timestep": torch.tensor([1.0], dtype=pipelines.DTYPE),
        "img_ids": torch.zeros(4, 3),
        "txt_ids": torch.zeros(5, 3),
        "guidance": torch.tensor([3.5], dtype=pipelines.DTYPE),
        "return_dict": return_dict,
    }
    scheduler = pipelines.diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    found = []
    with torch.no_grad():
        for method in (Mean(len(rows.competing)), Only(0, len(rows.competing)), Only(1, len(rows.competing))):
            with Fusion(model, make_plan(rows, infos, method), rows, there).run(scheduler):
                output = model(**inputs)
            found.append(output.sample if return_dict else output[0])
    torch.testing.assert_close(found[0], 0.25 * found[1] + 0.75 * found[2], rtol=1e-9, atol=1e-9)
    assert (found[1] - found[2]).norm() > 1e-3
