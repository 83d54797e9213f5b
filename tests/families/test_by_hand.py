"""LoRAs by hand under every sampler of the host's list, against dense weights rewritten each time.

In float64, where the host computes a family in it: there is no rounding then that could hide an error.
"""

from __future__ import annotations

import pytest
import torch
from comfy.samplers import KSampler

from tests.support.families.by_hand import by_hand, narrow, restated, rows_of_three
from tests.support.families.nets import layers, sample
from tests.support.host.nodes import relative
from tests.support.host.reference import random_lora

TOLERANCE = 1e-6
STEPS = 6
FAMILIES = "sd35", "sd15", "sdxl"
_found: dict[str, list[float]] = {}


@pytest.fixture(scope="module")
def composed(pack):
    """By family: the model, with the LoRAs by the node, and what restates it by steps and by noise level."""
    known = {}

    def of(family):
        if family not in known:
            model = narrow(family, torch.float64)
            names = layers(pack, model.model)
            loras = [random_lora(model.model, names[i::3], 3 + i, 60 + i, 0.3) for i in range(3)]
            found = by_hand(pack, model, *rows_of_three(loras, family)).model
            known[family] = model, found, *(restated(loras, family, by) for by in ("steps", "noise"))
        return known[family]

    return of


def whole(model, family, sampler):
    return sample(model, family, sampler=sampler, steps=STEPS)


def parts(model, family, sampler):
    """A run in two samplers, and image to image from where the first ended; no step lies on a border."""
    first = sample(model, family, sampler=sampler, steps=7, start_step=0, last_step=4)
    second = sample(model, family, sampler=sampler, steps=7, start_step=4, disable_noise=True, start=first)
    return torch.cat([second, sample(model, family, sampler=sampler, steps=3, denoise=0.375, start=first)])


@pytest.mark.parametrize("sampler", KSampler.SAMPLERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_sampler(composed, family, sampler):
    model, found, by_steps, by_noise = composed(family)
    expected = whole(by_steps.patch(model), family, sampler)
    assert torch.isfinite(expected).all()
    assert relative(whole(model, family, sampler), expected) > 1e-3, "the LoRAs show"
    errors = [
        relative(whole(found, family, sampler), expected),
        relative(parts(found, family, sampler), parts(by_noise.patch(model), family, sampler)),
    ]
    assert max(errors) < TOLERANCE
    _found.setdefault(family, []).append(max(errors))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_ran(record, family):
    assert len(_found.get(family, ())) == len(KSampler.SAMPLERS)
    record(part="by hand", family=family, samplers=len(_found[family]), error=max(_found[family]))
