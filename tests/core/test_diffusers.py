"""Two LoRAs in diffusers' own pipelines, against weights rewritten densely before each step, in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="diffusers is not installed (a development requirement)")

from klora_core.errors import KLoraError
from klora_core.fuse import fuse

from . import loras, oracle, pipelines
from .pipelines import latents, model_of

STEPS = 5
SPELLINGS = {
    "sd15": [("kohya-diffusers", "peft"), ("kohya-sgm", "simpletuner"), ("diffusers-old", "onetrainer")],
    "sdxl": [("kohya-sgm", "kohya-diffusers"), ("peft", "simpletuner")],
    "flux": [("kohya-sgm", "bfl"), ("kohya-sgm", "transformer"), ("transformer", "simpletuner")],
}
CASES = [(family, pair) for family, pairs in SPELLINGS.items() for pair in pairs]
_FUSED = ("kohya-sgm", "bfl")
_OLD_LAYERS = ("attn1.to", "attn2.to")


def files(family, model, spellings, folder, ranks=((4,), (2, 6))):
    """A subject and a style for a model, in two spellings, and which of its layers each changes."""
    made = []
    for i, spelling in enumerate(spellings):
        build = pipelines.fused_layers if family == "flux" and spelling in _FUSED else pipelines.split_layers
        layers = build(family, model)
        if spelling == "diffusers-old":
            layers = [layer for layer in layers if any(part in layer.diffusers for part in _OLD_LAYERS)]
        path = folder / f"{'subject' if i == 0 else 'style'}-{spelling}.safetensors"
        made.append(loras.make(path, layers, spelling, seed=i + 1, ranks=ranks[i], alpha=3.0, size=0.05))
    return made


class Rewriter:
    """Puts a step's dense weights into the twin of a model before the call of that step."""

    def __init__(self, family, model, made, steps, strengths=(1.0, 1.0), settings=None):
        self.model, self.calls, self.steps = model, 0, steps
        self.family = family
        self.base = {k: v.clone() for k, v in model.state_dict().items()}
        self.changes = [oracle.changes(m.path, m.table, m.suffixes) for m in made]
        self.slots = oracle.competing(*self.changes)
        options = {"name": "s", "alpha": 1.5, "beta": 0.5, "balance": 0.0, "mode": "paper"} | (settings or {})
        oracle.decide(self.slots, **options, steps=max(steps) + 1)
        self.strengths = strengths
        self.layers = pipelines.split_layers(family, model)
        model.register_forward_pre_hook(self)

    def __call__(self, module, args):
        self.model.load_state_dict(self.base)
        step = self.steps[self.calls]
        self.calls += 1
        for who, changes in enumerate(self.changes):
            for change in changes:
                self._add(change, "cs"[who], self.strengths[who], step)

    def _add(self, change, letter, strength, step):
        """The rows of one dW that are this LoRA's at the step, or that do not compete."""
        mask = np.ones(len(change.dw), bool)
        for slot in self.slots.values():
            weight, _, rows = slot.name.partition("[")
            if weight != change.weight:
                continue
            first, last = map(int, rows[:-1].split(":")) if rows else (0, change.start + len(change.dw))
            a, b = max(first, change.start) - change.start, min(last - change.start, len(change.dw))
            if a < b and slot.choice[step] != letter:
                mask[a:b] = False
        dw = torch.from_numpy(strength * change.dw * mask[:, None])
        for layer in self.layers:
            if layer.weight == change.weight:
                a, b = (
                    max(layer.start, change.start),
                    min(layer.start + layer.shape[0], change.start + len(dw)),
                )
                if a < b:
                    flat = self.model.get_submodule(layer.diffusers).weight.data.flatten(1)
                    flat[a - layer.start : b - layer.start] += dw[a - change.start : b - change.start]


def is_bare(model):
    return not any(m._forward_hooks or "forward" in vars(m) for m in model.modules())


def pair(family):
    pipe = pipelines.make(family)
    twin = pipelines.make(family)
    model_of(twin).load_state_dict(model_of(pipe).state_dict())
    return pipe, twin


@pytest.mark.parametrize(
    ("family", "spellings"), CASES, ids=lambda v: v if isinstance(v, str) else " and ".join(v)
)
def test_latents_are_those_of_weights_rewritten_in_every_step(family, spellings, tmp_path):
    pipe, twin = pair(family)
    made = files(family, model_of(pipe), spellings, tmp_path)
    rewriter = Rewriter(family, model_of(twin), made, list(range(STEPS)), strengths=(0.8, 1.2))
    expected, bare = latents(twin, STEPS), latents(pipe, STEPS)
    fusion = fuse(model_of(pipe), made[0].path, made[1].path, subject_strength=0.8, style_strength=1.2)
    with fusion.run(pipe.scheduler):
        found = latents(pipe, STEPS)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (found - bare).norm() > 1e-2 * bare.norm()
    choices = {slot.choice for slot in rewriter.slots.values()}
    assert any("c" in c for c in choices) and any("s" in c for c in choices)
    assert len(fusion.plan.slots) == len(rewriter.slots)
    assert not [note for note in fusion.plan.notes if "layer" in note]
    assert is_bare(model_of(pipe)) and torch.equal(latents(pipe, STEPS), bare)
