"""The small world's files: one model in three programs, one VAE in two sizes, one LoRA in two spellings."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from world.draw.words import VOCABULARY, encode, ids_of, load_table
from world.hosts import fused
from world.model.fit_vae import load_components, load_decoder, training_pictures
from world.model.latents import encode
from world.model.lora import SLOTS, diffusers_file, kohya_file, read_diffusers_file
from world.model.mmdit import HIDDEN
from world.model.sampling import first_noise, noise_levels, sample
from world.pairs import HELD_OUT, PAIRS, TUNING
from world.places import VAE_FILE, WORDS_FILE
from world.training.base import load_base
from world.training.loras import Job

pytestmark = pytest.mark.slow

TEXT = "red star stripes sky"


@pytest.fixture(scope="module")
def base():
    return load_base()


@pytest.fixture(scope="module")
def table():
    return load_table(WORDS_FILE)


def factors(name: str, world: str = "redundant"):
    return read_diffusers_file(load_file(Job(world, name, 0).path()))


def test_diffusers_draws_the_same_latents(base, table):
    model = pytest.importorskip("world.hosts.in_diffusers", reason="diffusers is not installed")
    noise = first_noise(5, 2)
    own = sample(base, partial(encode, table), TEXT, noise, steps=6)
    other = sample(model.AsMMDiT(model.load_transformer()), partial(encode, table), TEXT, noise, steps=6)
    assert float((own - other).abs().max()) <= 1e-3
    assert float(own.std()) > 0.2, "a picture, not a blank"


def test_the_padded_vae_is_the_thin_one(table):
    model = pytest.importorskip("world.hosts.in_diffusers", reason="diffusers is not installed")
    pictures = training_pictures(np.random.default_rng(3), 4)
    latents = encode(pictures, *load_components())
    vae = model.load_vae()
    # The file is in half precision: what it holds is exact to that.
    assert float((vae.encode(pictures * 2 - 1, return_dict=False)[0] - latents).abs().max()) <= 2e-2
    thin = load_decoder()(latents).clamp(0, 1)
    assert float((model.decode(vae, latents) - thin).abs().max()) <= 1e-5
    assert float(-10 * torch.log10(F.mse_loss(thin, pictures))) >= 24, "dB"


def test_the_vae_file_is_a_taesd_of_16_channels():
    tensors = load_file(VAE_FILE)
    assert tensors["taesd_decoder.1.weight"].shape == (64, 16, 3, 3)
    assert tensors["taesd_encoder.14.weight"].shape == (16, 64, 3, 3)


def test_both_spellings_are_one_lora():
    bunny = factors("bunny")
    assert set(diffusers_file(bunny)) == set(load_file(Job("redundant", "bunny", 0).path()))
    kohya = kohya_file(bunny)
    for index, slot in enumerate(SLOTS):
        name = "lora_unet_" + slot.module.replace(".", "_")
        up, down = (kohya[f"{name}.lora_{part}.weight"].float() for part in ("up", "down"))
        whole = up @ down * float(kohya[f"{name}.alpha"]) / down.shape[0]
        rows = slice(None) if slot.part is None else slice(slot.part * HIDDEN, (slot.part + 1) * HIDDEN)
        assert torch.allclose(whole[rows], bunny[index][0] @ bunny[index][1], atol=1e-5), slot.name


def test_the_packs_executor_does_what_rewritten_weights_do(base, table):
    pair = (factors("bunny"), factors("neon"))
    plan, met = fused.klora_plan(*pair)
    noise = first_noise(9, 1)
    through_hooks = fused.sample(base, table, "ruvak vomek", noise, plan, met, steps=5)
    assert float((through_hooks - _rewritten(table, pair, plan, noise, 5)).abs().max()) <= 1e-4
    untouched = sample(base, partial(encode, table), "ruvak vomek", noise, steps=5)
    assert float((through_hooks - untouched).abs().max()) > 0.05


def _rewritten(table, pair, plan, noise, steps):
    """Every step's weights written out, by another road than the pack's."""
    from klora_core.progress import in_steps
    from world.model.lora import added

    choices, x, levels = plan.choices(in_steps(steps))[0], noise, noise_levels(steps)
    names = [slot.name for slot in plan.slots]
    for step in range(steps):
        model = load_base()
        for lora in (0, 1):
            mine = {i for i in range(len(SLOTS)) if choices[names.index(fused.place(i).name), step] == lora}
            added(model, pair[lora], 1.0, mine)
        x = _one_step(model, table, x, levels[step], levels[step + 1])
    return x


@torch.inference_mode()
def _one_step(model, table, x, now, then):
    from world.draw.words import encode as words
    from world.model.sampling import GUIDANCE

    (c1, p1), (c0, p0) = words(table, "ruvak vomek"), words(table, "")
    on, off = (model(x, now.expand(len(x)) * 1000, c, p) for c, p in ((c1, p1), (c0, p0)))
    return x + (then - now) * (off + GUIDANCE * (on - off))


def test_captions():
    assert ids_of(["ruvak", "vomek"]).tolist()[:2] == [VOCABULARY.index("ruvak"), VOCABULARY.index("vomek")]
    with pytest.raises(ValueError, match="unknown words"):
        ids_of(["unicorn"])
    with pytest.raises(ValueError, match="at most 6"):
        ids_of(["red"] * 7)


def test_the_split_is_a_latin_square():
    assert len(PAIRS) == 16 and len(TUNING) == len(HELD_OUT) == 8
    for part in ("subject", "style"):
        for half in (TUNING, HELD_OUT):
            counts = [getattr(p, part) for p in half]
            assert all(counts.count(name) == 2 for name in counts)
