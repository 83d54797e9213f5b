"""Deltas that go into the weight for a call, where that is cheaper: same latents, nothing left behind."""

from __future__ import annotations

import comfy.model_management
import comfy.ops
import pytest
import torch

from tests.support.host.nodes import baked, fuse, part, relative
from tests.support.host.reference import Reference, random_lora

LARGE = 18  # pixels of the latent, cond and uncond together: 648 tokens on layers 128 wide


@pytest.fixture
def large(sample, sd15_conds):
    start = torch.randn(1, 4, LARGE, LARGE, generator=torch.Generator().manual_seed(9))
    return lambda model, **settings: sample(model, *sd15_conds, latent=start, **{"steps": 2, **settings})


@pytest.fixture
def folded(pack, monkeypatch):
    """The layers that were folded, one entry a call; with ``never`` none is."""
    fold = part(pack, "klora_core.apply.fold").Fold
    seen, weight = [], fold.weight
    monkeypatch.setattr(
        fold, "weight", lambda self, module, *rows: seen.append(module) or weight(self, module, *rows)
    )
    return seen


@pytest.fixture
def never(pack, monkeypatch):
    return lambda: monkeypatch.setattr(part(pack, "klora_core.apply.fold").Fold, "pays", lambda *_: False)


def own_forwards(model) -> int:
    return sum("forward" in vars(module) for module in model.model.modules())


def test_latents_equal_dense_rewriting(pack, sd15, pair, large, folded):
    reference = Reference(*pair)
    expected = large(reference.patch(sd15.model), steps=5)
    found = large(fuse(pack, sd15.model, *pair).model, steps=5)
    assert len({tuple(reference.winners(x).values()) for x in reference.used}) > 2
    assert relative(large(sd15.model, steps=5), expected) > 1e-2
    assert relative(found, expected) < 1e-4
    kinds = {type(module).__name__ for module in folded}
    assert kinds == {"Linear", "Conv2d"}
    beside = [name for name, m in sd15.model.model.named_modules() if "attn2.to_v" in name and m in folded]
    assert not beside, "77 tokens are too few for a weight 768 wide"


def test_few_tokens_stay_beside(pack, sd15, sd15_conds, pair, sample, folded):
    sample(fuse(pack, sd15.model, *pair).model, *sd15_conds)
    assert not folded


@pytest.mark.parametrize("kind", ["hada", "lokr"])
def test_dense_deltas(pack, sd15, large, folded, never, kind):
    model = sd15.model.model
    layers = ["input_blocks.1.1.transformer_blocks.0.attn1.to_q", "input_blocks.1.0.in_layers.2"]
    rng = torch.Generator().manual_seed(4)
    lora = {}
    for layer in layers:
        out, *inputs = model.get_submodule(f"diffusion_model.{layer}").weight.shape
        n, name = torch.Size(inputs).numel(), f"diffusion_model.{layer}"
        if kind == "hada":
            for i in (1, 2):
                lora[f"{name}.hada_w{i}_a"] = torch.randn(out, 4, generator=rng) * 0.1
                lora[f"{name}.hada_w{i}_b"] = torch.randn(4, n, generator=rng) * 0.1
        else:
            lora[f"{name}.lokr_w1"] = torch.randn(4, 4, generator=rng) * 0.05
            lora[f"{name}.lokr_w2"] = torch.randn(out // 4, inputs[0] // 4, *inputs[1:], generator=rng) * 0.2
    style = random_lora(model, layers, rank=4, seed=5)
    fused = fuse(pack, sd15.model, lora, style).model
    found = large(fused)
    assert len(set(folded)) == len(layers)
    never()
    beside = large(fused)
    assert relative(found, beside) < 1e-5
    assert relative(large(sd15.model), beside) > 1e-3


def test_two_fuses_and_a_bypass_on_the_same_layers(pack, sd15, pair, large, folded, never):
    import comfy.sd

    first = fuse(pack, sd15.model, *pair).model
    both = fuse(pack, first, *reversed(pair)).model
    all_three = comfy.sd.load_bypass_lora_for_models(both, None, pair[1], 0.5, 0)[0]
    with_fold = [large(model) for model in (first, both, all_three)]
    assert folded
    never()
    beside = [large(model) for model in (first, both, all_three)]
    assert all(relative(a, b) < 1e-5 for a, b in zip(with_fold, beside, strict=True))
    assert relative(beside[1], beside[0]) > 1e-3
    assert relative(beside[2], beside[1]) > 1e-3


def test_folds_after_a_bypass_has_gone(pack, sd15, pair, large, folded):
    """Core's bypass leaves the class's own forward on the instance when it goes."""
    import comfy.sd

    large(comfy.sd.load_bypass_lora_for_models(sd15.model, None, pair[1], 0.5, 0)[0])
    large(fuse(pack, sd15.model, *pair).model)
    assert folded


@pytest.mark.parametrize("error", [None, comfy.model_management.InterruptProcessingException, RuntimeError])
def test_nothing_is_left_behind(pack, sd15, pair, large, folded, error):
    weights = {k: v.clone() for k, v in sd15.model.model.state_dict().items()}
    before = own_forwards(sd15.model)
    fused = fuse(pack, sd15.model, *pair).model
    inside = []

    def look(*_):
        inside.append(own_forwards(fused))
        if error is not None:
            raise error

    if error is None:
        large(fused, callback=look)
    else:
        with pytest.raises(error):
            large(fused, callback=look)
    assert folded and inside[0] > before
    assert own_forwards(fused) == before
    assert all(torch.equal(v, weights[k]) for k, v in sd15.model.model.state_dict().items())


def test_a_baked_lora_below_is_kept(pack, sd15, pair, large, folded):
    """Its weights are patched in place before the run: the fold adds to them."""
    under = random_lora(sd15.model.model, ["input_blocks.1.1.transformer_blocks.0.attn1.to_q"], 4, seed=8)
    reference = Reference(*pair)
    expected = large(reference.patch(baked(sd15.model, under)), steps=4)
    assert relative(large(fuse(pack, baked(sd15.model, under), *pair).model, steps=4), expected) < 1e-4
    assert folded


def test_only_plain_float32_weights_are_folded(pack):
    fold, rules = part(pack, "klora_core.apply.fold"), part(pack, "nodes.host.rules").RULES
    low_rank = part(pack, "klora_core.deltas").LowRank
    x = torch.randn(4096, 8)
    buffers = torch.zeros(8, 2), torch.zeros(2, 8)

    def layer(ops=comfy.ops.disable_weight_init, dtype=torch.float32):
        return ops.Linear(8, 8, dtype=dtype)

    def folds(module, x=x, buffers=buffers):
        delta = low_rank(*buffers)
        return fold.can_fold(module, delta, rules) and fold.Fold(module, delta, rules).pays(module, x)

    assert folds(layer())
    assert not folds(layer(), x[:7])
    assert not folds(layer(dtype=torch.bfloat16))
    assert not folds(layer(), x.bfloat16())
    assert not folds(layer(), buffers=tuple(b.bfloat16() for b in buffers))
    assert not folds(layer(ops=comfy.ops.manual_cast)), "the host casts it"
    assert not folds(layer(), x.to("meta")), "the host moves it"
    patched = layer()
    patched.weight_function = [lambda weight: 2 * weight]
    assert not folds(patched), "the host changes it"
    swapped = layer()
    swapped.forward = lambda x: x
    assert not folds(swapped)

    parametrised = layer()
    torch.nn.utils.parametrize.register_parametrization(parametrised, "weight", torch.nn.Identity())
    assert not folds(parametrised), "its weight is computed"

    class Other(comfy.ops.disable_weight_init.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    assert not folds(Other(8, 8))


def test_a_strided_convolution_counts_its_outputs(pack):
    fold, rules = part(pack, "klora_core.apply.fold"), part(pack, "nodes.host.rules").RULES
    module = comfy.ops.disable_weight_init.Conv2d(4, 4, 3, stride=2, padding=1)
    # The host's layers begin with what was in memory.
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    buffers = torch.randn(4, 2), torch.randn(2, 36)
    folding = fold.Fold(module, part(pack, "klora_core.deltas").LowRank(*buffers), rules)
    x = torch.randn(1, 4, 6, 6)
    # 2 * 36 * 4 / (36 + 4) = 7.2 outputs
    assert folding.pays(module, x) and not folding.pays(module, x[..., :4])
    delta = (buffers[0] @ buffers[1]).view(module.weight.shape)
    expected = torch.nn.functional.conv2d(x, module.weight + delta, module.bias, stride=2, padding=1)
    assert relative(folding(module, x), expected) < 1e-6
