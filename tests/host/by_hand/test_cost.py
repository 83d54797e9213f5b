"""What LoRAs by hand cost beside K-LoRA: what is on together, as factors, and nothing dense."""

from __future__ import annotations

import pytest
from torch.utils.flop_counter import FlopCounterMode

from tests.support.families.by_hand import a_set, by_hand
from tests.support.host.nodes import UNET_LAYERS, compose
from tests.support.host.reference import random_lora

RANK, COUNT = 4, 3


@pytest.fixture(scope="module")
def loras(_sd15):
    layers = [layer for layer in UNET_LAYERS if ".transformer_blocks." in layer]
    return [random_lora(_sd15.model.model, layers, RANK, seed, scale=0.2) for seed in range(COUNT)]


@pytest.fixture
def work(sd15, sd15_conds, sample):
    """Multiplications and additions of a run, above those of the model alone."""

    def of(model):
        with FlopCounterMode(display=False) as counter:
            sample(model, *sd15_conds, steps=2)
        return counter.get_total_flops()

    alone = of(sd15.model)
    return lambda model: of(model) - alone


def rows(loras, **said):
    return [(lora, "subject" if i == 0 else "style", 1.0, said) for i, lora in enumerate(loras)]


@pytest.mark.parametrize("together", [1, 2, 3])
def test_a_step_takes_as_many_times_k_lora_s_as_are_on_together(pack, sd15, loras, work, together):
    one = work(compose(pack, sd15.model, a_set(pack, *rows(loras[:2])), "K-LoRA").model)
    found = by_hand(pack, sd15.model, *rows(loras[:together], curve="0:1, 1:0.5"))
    assert 0 < one <= work(found.model) <= together * one * 1.001


def test_windows_that_do_not_meet_take_what_one_takes(pack, sd15, loras, work):
    one = work(compose(pack, sd15.model, a_set(pack, *rows(loras[:2])), "K-LoRA").model)
    given = [
        (lora, role, 1.0, {"start": i / COUNT, "end": (i + 1) / COUNT})
        for i, (lora, role, *_) in enumerate(rows(loras))
    ]
    assert work(by_hand(pack, sd15.model, *given).model) <= one * 1.001
