"""A model of its own: what it answers, which gradients it gives, and that nothing of it is left."""

from __future__ import annotations

import gc
import importlib
import weakref

import comfy.model_management
import comfy.sd
import pytest
import torch
from comfy.patcher_extension import WrappersMP

from tests.support.families.again import latent, loadable
from tests.support.families.inputs import conditioning
from tests.support.families.nets import layers as layers_of
from tests.support.families.nets import patcher, sample
from tests.support.host.reference import random_lora

# Attention of every build: UNets, joint and single streams, cross-attention, windows of experts.
FAMILIES = ("sdxl", "sd35", "flux", "chroma", "z_image", "hunyuan_image", "wan", "hidream", "ltxv")
RANK = 2


@pytest.fixture
def room(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


class Pairs:
    def __init__(self, room, slots, grows=True):
        train, generator = room("klora_core.train"), torch.Generator().manual_seed(3)
        self._added, self.pairs = train.added, {}
        for slot, (out, n) in slots.items():
            up = torch.randn(out, RANK, generator=generator) * 0.1
            self.pairs[slot] = up, (torch.randn(RANK, n, generator=generator) / n**0.5).requires_grad_(grows)

    def of(self, slot):
        up, down = self.pairs[slot]
        return lambda module, x: self._added(module, x, down, up)

    def gradient(self):
        none = torch.zeros(1)
        return torch.cat([none if d.grad is None else d.grad.flatten() for _, d in self.pairs.values()])


def slots_of(room, pack, model):
    network, slot = room("nodes.host").Network(model), room("klora_core.names").Slot
    return {slot(n): network.layer_shape(f"diffusion_model.{n}.weight") for n in layers_of(pack, model)}


def loss_of(on, changes, family, item):
    noised = on.noised(
        item, torch.randn(item.shape, generator=torch.Generator().manual_seed(9)), torch.tensor([0.4])
    )
    answer = on.predict(noised.x, noised.sigma, conditioning(family, 1), changes)
    return (answer - noised.target).square().mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointed_gradients_are_those_of_the_whole_graph(pack, room, family):
    model = loadable(family)
    training, train = room("nodes.training"), room("klora_core.train")
    slots = slots_of(room, pack, model.model)
    heights = {slot: out for slot, (out, _) in slots.items()}
    before = sample(model, family)
    with training.second_model(model) as second, torch.enable_grad():
        assert second.model is not model.model and not second.model.training
        changes = Pairs(room, slots)
        with training.on_host(second, heights) as on:
            loss = loss_of(on, changes, family, latent(model, family))
            loss.backward()
            # Some only run with inputs that this prompt has not.
            assert len(on.layers.unseen) < 0.1 * len(slots)
        ours = changes.gradient()
        plain = Pairs(room, slots)
        apply, host = room("klora_core.apply"), room("nodes.host")
        where = lambda slot, out: (apply.Spot(f"diffusion_model.{slot.weight}", slot.rows),)  # noqa: E731
        with (
            torch.autograd.graph.allow_mutation_on_saved_tensors(),
            train.Layers(second.model, heights, where, host.RULES) as hooks,
        ):
            again = loss_of(training.OnHost(second, hooks), plain, family, latent(model, family))
            again.backward()
        assert torch.equal(loss, again)
        assert float((ours - plain.gradient()).norm()) < 1e-5 * float(ours.norm())
        assert float(ours.norm()) > 1e-4
    assert torch.equal(sample(model, family), before)


def test_nothing_is_left_after_an_error(pack, room):
    model, training = loadable("sd35"), room("nodes.training")
    slots = slots_of(room, pack, model.model)
    seen = []
    with pytest.raises(KeyboardInterrupt), training.second_model(model) as second:
        seen.append(weakref.ref(second.model))
        on = training.on_host(second, {slot: out for slot, (out, _) in slots.items()})
        with torch.enable_grad(), on as answering:
            loss_of(answering, Pairs(room, slots), "sd35", latent(model, "sd35"))
            assert comfy.model_management.in_training
            raise KeyboardInterrupt
    assert not comfy.model_management.in_training
    del second, on, answering
    gc.collect()
    assert seen[0]() is None
    assert not [m for m in comfy.model_management.current_loaded_models if m.model is None]
    own = model.model
    assert not any(p.requires_grad or p.grad is not None for p in own.parameters())
    assert not any(m._forward_hooks or "forward" in m.__dict__ for m in own.modules())


def test_a_model_that_can_not_be_loaded_again_says_what_to_do(room):
    model, training = patcher("sd35"), room("nodes.training")
    error = room("klora_core.errors").KLoraError
    with pytest.raises(error, match=r"^Load the checkpoint with Load Checkpoint .* second time"):
        training.second_model(model).__enter__()


def test_a_file_that_is_gone_since_says_what_to_do(room, tmp_path):
    model, training = loadable("sd35"), room("nodes.training")
    gone = str(tmp_path / "gone.safetensors")
    model.cached_patcher_init = comfy.sd.load_diffusion_model, (gone, {})
    error = room("klora_core.errors").KLoraError
    with pytest.raises(error, match=r"^Load the checkpoint .* can't be read any more .*gone\.safetensors"):
        training.second_model(model).__enter__()
    assert not comfy.model_management.in_training


def test_a_gguf_model_says_what_to_do(room):
    model, training = loadable("sd35"), room("nodes.training")
    next(model.model.parameters()).tensor_type = "Q4_0"
    with pytest.raises(room("klora_core.errors").KLoraError, match="^Use a safetensors version .* GGUF"):
        training.second_model(model).__enter__()


@pytest.mark.parametrize("bypassed", [True, False])
def test_what_works_only_while_sampling_can_not_be_learned_on(room, bypassed):
    """Else what was learned would be learned beside it, without a word."""
    model, training = loadable("sd35"), room("nodes.training")
    if bypassed:
        name = "joint_blocks.0.x_block.attn.proj"
        lora = random_lora(model.model, [name], 2, 1)
        changed, said = comfy.sd.load_bypass_lora_for_models(model, None, lora, 1.0, 0)[0], "bypass_lora"
    else:
        changed, said = model.clone(), "before K-LoRA Fuse or Compose LoRAs"
        changed.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "klora/1", lambda run, *args: run(*args))
    with pytest.raises(room("klora_core.errors").KLoraError, match=f"^Connect the model from.*{said}"):
        training.second_model(changed).__enter__()
    with training.second_model(model):
        pass
