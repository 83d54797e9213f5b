"""The small world's files: one model in three programs, one VAE in two sizes, one LoRA in two spellings."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from klora_core import toy as words
from world.draw.drawings import NoDrawingsError
from world.hosts import fused
from world.model.fit_vae import load_components, load_decoder, pool
from world.model.latents import encode
from world.model.lora import SLOTS, diffusers_file, kohya_file, read_diffusers_file
from world.model.mmdit import HIDDEN
from world.model.sampling import first_noise, noise_levels, sample
from world.pairs import HELD_OUT, PAIRS, TUNING
from world.places import VAE_FILE
from world.training.base import load_base
from world.training.loras import Job

pytestmark = pytest.mark.slow

TEXT = "crosshatch polar bear"


@pytest.fixture(scope="module")
def base():
    return load_base()


def factors(name: str, world: str = "redundant"):
    return read_diffusers_file(load_file(Job(world, name, 0).path()))


def test_diffusers_draws_the_same_latents(base):
    model = pytest.importorskip("world.hosts.in_diffusers", reason="diffusers is not installed")
    noise = first_noise(5, 2)
    own = sample(base, TEXT, noise, steps=6)
    other = sample(model.AsMMDiT(model.load_transformer()), TEXT, noise, steps=6)
    assert float((own - other).abs().max()) <= 1e-3
    assert float(own.std()) > 0.2, "a picture, not a blank"


def test_the_padded_vae_is_the_thin_one():
    model = pytest.importorskip("world.hosts.in_diffusers", reason="diffusers is not installed")
    try:
        pictures = pool(8).float() / 255
    except NoDrawingsError as error:
        pytest.skip(str(error))
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
    owl = factors("owl")
    assert set(diffusers_file(owl)) == set(load_file(Job("redundant", "owl", 0).path()))
    kohya = kohya_file(owl)
    for index, slot in enumerate(SLOTS):
        name = "lora_unet_" + slot.module.replace(".", "_")
        up, down = (kohya[f"{name}.lora_{part}.weight"].float() for part in ("up", "down"))
        whole = up @ down * float(kohya[f"{name}.alpha"]) / down.shape[0]
        rows = slice(None) if slot.part is None else slice(slot.part * HIDDEN, (slot.part + 1) * HIDDEN)
        assert torch.allclose(whole[rows], owl[index][0] @ owl[index][1], atol=1e-5), slot.name


def test_the_packs_executor_does_what_rewritten_weights_do(base):
    pair = (factors("owl"), factors("neon"))
    plan, met = fused.klora_plan(*pair)
    noise = first_noise(9, 1)
    through_hooks = fused.sample(base, PAIRS[0].prompt, noise, plan, met, steps=5)
    assert float((through_hooks - _rewritten(pair, plan, noise, 5)).abs().max()) <= 1e-4
    untouched = sample(base, PAIRS[0].prompt, noise, steps=5)
    assert float((through_hooks - untouched).abs().max()) > 0.05


def _rewritten(pair, plan, noise, steps):
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
        x = _one_step(model, x, levels[step], levels[step + 1])
    return x


@torch.inference_mode()
def _one_step(model, x, now, then):
    from world.model.sampling import GUIDANCE

    (c1, p1), (c0, p0) = words.encode(PAIRS[0].prompt), words.encode("")
    on, off = (model(x, now.expand(len(x)) * 1000, c, p) for c, p in ((c1, p1), (c0, p0)))
    return x + (then - now) * (off + GUIDANCE * (on - off))


def test_the_split_is_even():
    assert len(PAIRS) == 40 and len(TUNING) == len(HELD_OUT) == 20
    for half in (TUNING, HELD_OUT):
        styles, subjects = [p.style for p in half], [p.subject for p in half]
        assert all(styles.count(name) == 4 for name in styles)
        assert all(subjects.count(name) in (2, 3) for name in subjects)
