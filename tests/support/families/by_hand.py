"""As scheduled, restated: each LoRA's own strength at each moment and in each layer, all added up."""

from __future__ import annotations

import re
from typing import Any

from tests.support.families.nets import patcher
from tests.support.host.nodes import compose, part
from tests.support.host.reference import Reference, dense

RAMP, STEPS = "0:1, 1:0", "0:1, 0.5:1, 0.5:0.25"
LATE_UP = "down: 0, mid: 0.5, up 1-2: 2"


def late_up(layer):
    if layer.startswith("input_blocks"):
        return 0.0
    if layer.startswith("middle_block"):
        return 0.5
    return 2.0 if re.match(r"output_blocks\.[12]\.", layer) else 1.0


def sixteenths(x):
    """The ramp down in 16 levels of six digits, 0 and 1 among them."""
    return round(round((1 - x) * 15) / 15, 6)


class ByHand(Reference):
    """Each LoRA times its strength, what it is at x, and what its layer is; all added up."""

    def __init__(self, *rows, by="steps"):
        self.rows, self.by, self.used = [(dense(lora), *rest) for lora, *rest in rows], by, []

    def changes(self, x):
        found = {}
        for deltas, strength, at, within in self.rows:
            for layer, (delta, _) in deltas.items():
                factor = strength * at(x) * within(layer)
                if factor:
                    found[layer] = found.get(layer, 0) + factor * delta
        return found


def a_set(pack, *rows):
    """A LORA_SET of (LoRA, role, strength, what its row says beside)."""
    execute, found = part(pack, "nodes").KLoRASet.execute, None
    for lora, role, strength, said in rows:
        found = execute(strength, role, lora=lora, set=found, **said).result[0]
    return found


def by_hand(pack, model, *rows, **options):
    return compose(pack, model, a_set(pack, *rows), "As scheduled", **options)


def everywhere(layer):
    return 1.0


def always(x):
    return 1.0


def between(start, end):
    return lambda x: float(start <= x < end or x == end == 1)


def late_sixteenths(x):
    """The ramp until 0.97, where it is 0.03, in 16 levels of six digits."""
    return round(0.03 + 0.97 * round((1 - x / 0.97) * 15) / 15, 6)


# SDXL's stages and context, no wider than need be: every evaluation rewrites all weights.
NARROW: dict[str, dict[str, Any]] = {
    "sdxl": {
        "channel_mult": [1, 1, 1],
        "transformer_depth": [0, 0, 1, 1, 1, 1],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 1, 1, 1],
        "transformer_depth_middle": 1,
    }
}


def narrow(family, dtype):
    """A family's network, narrow enough to be run under every sampler."""
    return patcher(family, dtype, **NARROW.get(family, {}))


_STAGES = {"up": "output_blocks", "single": "single_blocks", "joint": "joint_blocks.1"}
_HALVED = {"sd15": "up", "sdxl": "up", "flux": "single", "sd35": "joint"}


def rows_of_three(loras, family):
    """Three LoRAs of which each has something of its own: a window and a step, a ramp, half of a stage.

    Samplers evaluate in the middle of symmetric runs: there nothing changes.
    """
    stage = _HALVED[family] + (" 1" if family == "sd35" else "")
    return (
        (loras[0], "subject", 0.9, {"start": 0.2, "end": 0.8, "curve": "0:1, 0.55:1, 0.55:0.25"}),
        (loras[1], "style", 1.1, {"end": 0.97, "curve": RAMP}),
        (loras[2], "style", -0.6, {"start": 0.4, "blocks": f"{stage}: 0.5"}),
    )


def restated(loras, family, by="steps"):
    """The same, dense."""
    stage = _STAGES[_HALVED[family]]
    return ByHand(
        (loras[0], 0.9, lambda x: between(0.2, 0.8)(x) * (1 if x < 0.55 else 0.25), everywhere),
        (loras[1], 1.1, lambda x: between(0, 0.97)(x) * late_sixteenths(x), everywhere),
        (loras[2], -0.6, between(0.4, 1), lambda layer: 0.5 if layer.startswith(stage) else 1.0),
        by=by,
    )
