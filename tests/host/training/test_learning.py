"""Merges learned on tiny networks of many builds and precisions, and the files that come of them."""

from __future__ import annotations

import importlib

import comfy.model_management
import comfy.sd
import pytest
import torch

from tests.support.families.again import latent, loadable
from tests.support.families.inputs import conditioning
from tests.support.families.int8 import pair_of
from tests.support.families.nets import layers as layers_of
from tests.support.families.nets import sample
from tests.support.host.reference import random_lora

FAMILIES = (
    "sd35",
    "flux",
    "chroma",
    "z_image",
    "qwen_image",
    "krea2",
    "wan",
    "hidream",
    "ltxv",
    "kandinsky5",
)
PRECISIONS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}


class Room:
    def __init__(self, pack):
        self._name = pack.__name__

    def __getattr__(self, name):
        return importlib.import_module(f"{self._name}.{name.replace('_dot_', '.')}")


@pytest.fixture
def room(pack):
    return Room(pack)


def table_of(room, pack, model, scale=0.05):
    """Rows of two random LoRAs on all layers that run while sampling."""
    names = layers_of(pack, model.model)
    loras = [random_lora(model.model, names, rank, seed, scale) for seed, rank in enumerate((2, 3))]
    found = [room.nodes_dot_loras.read(lora, "a LoRA", model, None) for lora in loras]
    return loras, room.klora_core_dot_deltas.rows([lora.slots for lora in found], ["one", "two"])


def learn(room, model, family, table, steps, **more):
    """``taught`` on a second model: its result, and the answers of hooks and of the model before."""
    train, training = room.klora_core_dot_train, room.nodes_dot_training
    items = [train.Item(latent(model, family), conditioning(family, 1))]
    factors = train.factored(table)
    options = train.Options(steps=steps, batch=1, copies=1, rate=0.05, seed=3, **more)
    with training.second_model(model) as second, training.on_host(second, factors.heights) as on:
        made = train.taught(factors, items, on, options)
        x, sigma, _ = train.noised(on, items, train.copies(items, 1, 8))
        with torch.no_grad():
            answers = [on.predict(x, sigma, items[0].condition, c) for c in (made.weighted, None)]
    return made, (x, sigma), answers


def shapes(model):
    prefix, suffix = "diffusion_model.", ".weight"
    return {
        key.removeprefix(prefix).removesuffix(suffix): tuple(value.shape)
        for key, value in model.model.state_dict().items()
        if key.startswith(prefix) and key.endswith(suffix)
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_learned_on_a_family_and_loaded_by_core(pack, room, family):
    model = loadable(family)
    before = sample(model, family)
    _, table = table_of(room, pack, model)
    made, (x, sigma), (hooks, base) = learn(room, model, family, table, 3)
    assert made.losses[-1] < made.losses[0] and float((hooks - base).norm()) > 1e-3 * float(base.norm())
    tensors = room.klora_core_dot_merges.state_dict(made.deltas, torch.float32, shapes(model))
    training = room.nodes_dot_training
    loaded = comfy.sd.load_lora_for_models(model, None, tensors, 1.0, 0)[0]
    with training.second_model(loaded) as second, training.on_host(second, {}) as on, torch.no_grad():
        patched = on.predict(x, sigma, conditioning(family, 1), None)
    assert float((patched - hooks).norm()) < 1e-5 * float(hooks.norm())
    assert torch.equal(sample(model, family), before), "the model that came in is as it was"


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("family", ["flux", "sd35"])
def test_a_base_in_few_bits_is_trained_through(pack, room, family, name):
    exact, model = loadable(family), loadable(family, PRECISIONS[name])
    _, table = table_of(room, pack, exact)
    right = learn(room, exact, family, table, 2)[0]
    made = learn(room, model, family, table, 2)[0]
    for one, other in zip(right.losses, made.losses, strict=True):
        assert one == pytest.approx(other, rel=0.1)
    moved = [
        m - 1
        for found in made.weighted.columns.values()
        for m in found
        if isinstance(m, torch.Tensor) and m.requires_grad
    ]
    assert all(m.isfinite().all() for m in moved) and all(m.any() for m in moved)


def test_an_int8_base_is_trained_through(pack, room):
    model, exact = pair_of("wan")
    for number, each in enumerate((model, exact)):
        each.cached_patcher_init = (lambda i, disable_dynamic=False: pair_of("wan")[i], (number,))
    _, table = table_of(room, pack, exact)
    right, made = (learn(room, each, "wan", table, 2)[0] for each in (exact, model))
    for one, other in zip(right.losses, made.losses, strict=True):
        assert one == pytest.approx(other, rel=0.1)


def test_a_model_without_gradients_says_so(pack, room):
    """The host computes some networks with kernels that have no gradient."""
    model = loadable("ernie")
    _, table = table_of(room, pack, model)
    train, training = room.klora_core_dot_train, room.nodes_dot_training
    factors = train.factored(table)
    begun = train.begun(factors, (1.0, 1.0), "both")
    with (
        pytest.raises(
            room.klora_core_dot_errors.KLoraError, match="^Use another base model: ERNIE-Image gives no"
        ),
        training.second_model(model) as second,
        training.on_host(second, factors.heights) as on,
    ):
        on.check_gradients(latent(model, "ernie"), conditioning("ernie", 1), begun, ())
    assert not comfy.model_management.in_training
    good = loadable("wan")
    factors = train.factored(table_of(room, pack, good)[1])
    begun = train.begun(factors, (1.0, 1.0), "both")
    with training.second_model(good) as second, training.on_host(second, factors.heights) as on:
        numbers = train.parameters(begun.columns) + train.parameters(begun.rows)
        on.check_gradients(latent(good, "wan"), conditioning("wan", 1), begun, numbers)
    assert numbers and all(m.grad is None for m in numbers), "it leaves none"
