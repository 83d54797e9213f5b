"""Two LoRAs in diffusers' own pipelines, against weights rewritten densely before each step, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from klora_core import report
from klora_core.errors import KLoraError
from klora_core.fuse import fuse
from klora_core.progress import in_steps
from tests.support import loras, oracle, pipelines
from tests.support.pipelines import latents, model_of

pytestmark = pytest.mark.slow

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
    assert not [note for note in fusion.plan.notes if "layer" in note.text]
    assert is_bare(model_of(pipe)) and torch.equal(latents(pipe, STEPS), bare)


@pytest.mark.parametrize("family", ["sd15", "flux"])
@pytest.mark.parametrize(
    "spellings", [("kohya-sgm", "kohya-sgm"), ("transformer", "transformer")], ids="".join
)
def test_layers_that_diffusers_fused_itself(family, spellings, tmp_path):
    """fuse_qkv_projections() leaves the separate layers where they are, and uses them no more."""
    pipe, twin = pair(family)
    made = files(family, model_of(pipe), spellings, tmp_path)
    Rewriter(family, model_of(twin), made, list(range(STEPS)))
    expected = latents(twin, STEPS)
    model_of(pipe).fuse_qkv_projections()
    fusion = fuse(model_of(pipe), made[0].path, made[1].path)
    with fusion.run(pipe.scheduler):
        torch.testing.assert_close(latents(pipe, STEPS), expected, rtol=1e-5, atol=1e-5)


def test_layers_that_diffusers_fused_afterwards_are_named(tmp_path, caplog):
    pipe, _ = pair("sd15")
    made = files("sd15", model_of(pipe), ("peft", "peft"), tmp_path)
    fusion = fuse(model_of(pipe), made[0].path, made[1].path)
    with fusion.run(pipe.scheduler):
        latents(pipe, 2)
    assert fusion.unseen == () and "did not run" not in caplog.text
    model_of(pipe).fuse_qkv_projections()
    with fusion.run(pipe.scheduler):
        latents(pipe, 2)
    assert {name.rpartition(".")[2] for name in fusion.unseen} == {"to_q", "to_k", "to_v"}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "klora"]
    report = fusion.report()
    assert all(name in line and name in report for name in fusion.unseen)
    assert "did not run in the first evaluation of the last run" in report


@pytest.fixture
def fused(tmp_path):
    """An SDXL-class pipeline and a fusion on it, with the latents of a fresh run."""
    pipe = pipelines.make("sdxl")
    made = files("sdxl", pipe.unet, ("kohya-sgm", "peft"), tmp_path)
    fusion = fuse(pipe.unet, made[0].path, made[1].path, balance=0.2)
    with fusion.run(pipe.scheduler):
        return pipe, fusion, latents(pipe, STEPS)


def test_a_second_run_is_as_a_fresh_one_after_another_and_after_an_interrupt(fused):
    pipe, fusion, fresh = fused
    with fusion.run(pipe.scheduler):
        assert torch.equal(latents(pipe, STEPS), fresh)
        latents(pipe, 3)
        assert torch.equal(latents(pipe, STEPS), fresh)

    def interrupt(pipe, step, timestep, kwargs):
        if step == 2:
            raise KeyboardInterrupt
        return kwargs

    before = {k: v.clone() for k, v in pipe.unet.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), fusion.run(pipe.scheduler):
        latents(pipe, STEPS, callback_on_step_end=interrupt)
    assert is_bare(pipe.unet)
    assert all(torch.equal(v, before[k]) for k, v in pipe.unet.state_dict().items())
    with fusion.run(pipe.scheduler):
        assert torch.equal(latents(pipe, STEPS), fresh)


def test_the_report_shows_the_last_run(fused):
    pipe, fusion, _ = fused
    assert fusion.columns == in_steps(STEPS)
    counted = report.text(fusion.plan, replace(in_steps(STEPS), mode="steps"))
    assert fusion.report() == counted != report.text(fusion.plan, in_steps(STEPS)) == fusion.report(STEPS)
    assert fusion.report(12) != fusion.report(STEPS)
    with fusion.run(pipe.scheduler), pytest.raises(KLoraError, match="already"), fusion.run(pipe.scheduler):
        pass
    assert is_bare(pipe.unet)


@pytest.mark.parametrize("way", ["a wrapper", "in place", "blocks"])
def test_compiled_models(way, tmp_path):
    pipe = pipelines.make("flux")
    made = files("flux", pipe.transformer, ("kohya-sgm", "transformer"), tmp_path)
    steps = 2
    with fuse(pipe.transformer, made[0].path, made[1].path).run(pipe.scheduler):
        expected = latents(pipe, steps)
    torch._dynamo.reset()
    if way == "a wrapper":
        pipe.transformer = torch.compile(pipe.transformer, backend="eager")
    elif way == "in place":
        pipe.transformer.compile(backend="eager")
    else:
        pipe.transformer.compile_repeated_blocks(backend="eager")
    bare = latents(pipe, steps)
    with fuse(pipe.transformer, made[0].path, made[1].path).run(pipe.scheduler):
        found = latents(pipe, steps)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(latents(pipe, steps), bare, rtol=0, atol=0)
    assert (found - bare).norm() > 1e-2 * bare.norm()


def test_what_finds_no_module_is_named(tmp_path):
    pipe = pipelines.make("sdxl")
    made = files("sdxl", pipe.unet, ("peft", "kohya-sgm"), tmp_path)
    tensors = load_file(made[0].path)
    for module in ("unet.down_blocks.2.attentions.1.transformer_blocks.7.attn1.to_q", "unet.no.such_layer"):
        tensors[f"{module}.lora_A.weight"] = torch.randn(2, 32)
        tensors[f"{module}.lora_B.weight"] = torch.randn(32, 2)
    tensors["unet.mid_block.attentions.0.norm.diff"] = torch.randn(32)
    tensors["unet.conv_in.diff_b"] = torch.randn(16)
    tensors["text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_A.weight"] = torch.randn(2, 8)
    tensors["text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_B.weight"] = torch.randn(8, 2)
    fusion = fuse(pipe.unet, tensors, made[1].path)
    said = "\n".join(note.text for note in fusion.plan.notes)
    for name in (
        "transformer_blocks.7.attn1.to_q",
        "no.such_layer",
        "norm.diff",
        "conv_in.diff_b",
        "mlp.fc1",
    ):
        assert name in said, said
    assert all(note.text in fusion.report() for note in fusion.plan.notes)
    with fusion.run(pipe.scheduler):
        latents(pipe, 2)


def test_a_lora_of_another_base_model_is_refused(tmp_path):
    flux, sdxl = pipelines.make("flux"), pipelines.make("sdxl")
    made = files("flux", flux.transformer, ("transformer", "transformer"), tmp_path)
    with pytest.raises(
        KLoraError,
        match="^Choose a LoRA made for this model: subject-.*has none of its .* layers",
    ):
        fuse(sdxl.unet, made[0].path, made[1].path)
    tensors = load_file(made[0].path)
    downs = [key for key in tensors if key.endswith(".lora_A.weight")]
    for key in downs[: len(downs) // 2]:
        tensors[key] = torch.randn(tensors[key].shape[0], 40)
    with pytest.raises(KLoraError, match=r"^Choose a LoRA .*x 40 in the LoRA and .* in the model"):
        fuse(flux.transformer, tensors, made[1].path)
