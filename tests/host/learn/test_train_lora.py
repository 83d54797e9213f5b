"""Train LoRA for Fusion in the host: it learns, its file is what it trained, and nothing of it is left."""

from __future__ import annotations

import re
import shutil

import pytest
import torch

from tests.support.families.again import latent, loadable
from tests.support.families.inputs import conditioning
from tests.support.families.nets import sample
from tests.support.host.nodes import compose, fuse, lora_set, part, relative
from tests.support.learning.node import pictures, train
from tests.support.learning.world import hooked

# UNets, joint and single streams, cross-attention; pictures and videos; eps, v and flow.
FAMILIES = {
    "sd15": "plain",
    "sdxl": "UnZipLoRA",
    "sd35": "CoTo",
    "flux": "CoTo",
    "chroma": "plain",
    "z_image": "BeamLoRA",
    "qwen_image": "plain",
    "wan": "UnZipLoRA",
    "ltxv": "UnZipLoRA",
}


def halves(method, *prompts):
    return prompts if method == "UnZipLoRA" else ()


class Sum:
    """LoRAs as they are in their files, on the layers of a model in training."""

    def __init__(self, pack, model, loras):
        self._added = part(pack, "klora_core.train").added
        read = part(pack, "nodes.loras").read
        with torch.inference_mode(False):
            copies = [{key: tensor.clone() for key, tensor in lora.items()} for lora in loras]
            self._loras = [read(lora, "a file", model, None).slots for lora in copies]

    def of(self, slot):
        found = [lora[slot] for lora in self._loras if slot in lora]
        if not found:
            return None
        return lambda module, x: sum(self._added(module, x, d.down, d.up * d.scale) for d in found)


def answer(pack, model, family, loras=()):
    """The network's output on a noised picture, with LoRAs on hooks."""
    training = part(pack, "nodes.training")
    with torch.inference_mode(False), torch.no_grad(), training.second_model(model) as second:
        changes = Sum(pack, model, loras)
        heights = {slot: delta.shape[0] for lora in changes._loras for slot, delta in lora.items()}
        with training.on_host(second, heights) as on:
            item = latent(model, family, 5)
            noise = torch.randn(item.shape, generator=torch.Generator().manual_seed(9))
            batch = on.noised(item, noise, torch.tensor([0.4]))
            return on.predict(batch.x, batch.sigma, conditioning(family, 1), changes if loras else None)


@pytest.mark.parametrize("family, method", FAMILIES.items())
def test_it_learns_and_the_file_is_what_was_trained(pack, family, method):
    model, prompt = loadable(family), conditioning(family, 1)
    base = sample(model, family)
    # One prompt for all, so that both of UnZipLoRA's files are the training's forward whatever is shown.
    longer = {"steps": 9, "rate": 0.03} if method == "UnZipLoRA" else {}
    prompts = halves(method, prompt, prompt)
    made = train(pack, model, [pictures(model, family, 1)], [prompt], method, prompts, **longer)
    before, after = map(float, re.search(r"([\d.]+) before, ([\d.]+) after", made.report).groups())
    assert after < before, made.report
    assert len(made.loss["loss"]) == longer.get("steps", 4)
    assert re.search(r"Memory: a second copy of the model \d+ MB, .* a step \d+ MB", made.report)
    loras = [made.lora, made.style_lora] if method == "UnZipLoRA" else [made.lora]
    hooked, loaded = answer(pack, model, family, loras), answer(pack, made.model, family)
    assert relative(hooked, loaded) < 1e-5
    assert relative(loaded, answer(pack, model, family)) > 1e-4
    # Nothing of the training is left on the model that it was given.
    assert torch.equal(sample(model, family), base)


@pytest.fixture(scope="module")
def small():
    return loadable("wan")


def test_the_same_seed_is_the_same_lora_and_another_is_not(pack, small, temp):
    given = [pictures(small, "wan", 1)], [conditioning("wan", 1)]
    found = []
    for seed in (7, 7, 8):
        # A finished training is kept.
        shutil.rmtree(temp, ignore_errors=True)
        found.append(train(pack, small, *given, "CoTo", seed=seed, steps=3))
    one, again, other = found
    assert one.loss == again.loss != other.loss
    assert all(torch.equal(one.lora[key], again.lora[key]) for key in one.lora)


def test_pictures_of_many_sizes_and_captions_of_their_own(pack, small):
    """Lists, as Resolution Bucket and data set nodes give them: a batch of two, and one of another size."""
    wide = {"samples": torch.randn(1, 16, 1, 8, 12)}
    latents = [pictures(small, "wan", 1, 2), wide]
    captions = [conditioning("wan", 1), conditioning("wan", 2) + conditioning("wan", 3)]
    made = train(pack, small, latents, captions, batch=3, steps=2)
    assert "3 pictures" in made.report and len(made.loss["loss"]) == 2
    shared = train(pack, small, latents, captions[:1], batch=3, steps=2)
    assert shared.loss != made.loss


def test_captions_never_meet_in_a_forward(pack, small):
    """Two captions in one call of the host are averaged; a batch here is each caption's own answer."""
    training, items = part(pack, "nodes.training"), part(pack, "klora_core.train").Item
    fusable = part(pack, "klora_core.train.fusable")
    given = [items(latent(small, "wan", i), conditioning("wan", i)) for i in (1, 2)]
    plain = fusable.METHODS[0].make(
        {part(pack, "klora_core.names").Slot("blocks.0.self_attn.q"): (256, 256)},
        fusable.Plan(1, 0.1, 2, 0),
        (),
    )
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        training.second_model(small) as second,
        training.on_host(second, {}) as on,
    ):
        losses = [term.item() for term in fusable.terms(plain, on, given, 2, 2, 0)]
        alone = []
        for copy in fusable.copies_of(2, 2, 0, 0):
            item = given[copy.item]
            noise = torch.randn(item.latent.shape, generator=torch.Generator().manual_seed(copy.seed))
            batch = on.noised(item.latent, noise, torch.tensor([copy.percent]))
            answered = on.predict(batch.x, batch.sigma, item.condition, None)
            alone.append(float((answered - batch.target).square().mean()))
    assert len(losses) == 2 and sum(losses) == pytest.approx(sum(alone) / 2, rel=1e-6)


def test_a_picture_for_a_video_model_is_one_frame(pack, small):
    flat = {"samples": pictures(small, "wan", 1)["samples"].squeeze(2)}
    assert len(train(pack, small, [flat], [conditioning("wan", 1)], steps=1).loss["loss"]) == 1


def test_it_goes_into_the_other_nodes(pack, small):
    made = train(pack, small, [pictures(small, "wan", 1)], [conditioning("wan", 1)], steps=2)
    other = train(pack, small, [pictures(small, "wan", 2)], [conditioning("wan", 2)], steps=2, seed=3)
    assert "plain LoRA, 2 steps" in fuse(pack, small, made.lora, other.lora).report
    assert (
        made.lora.metadata["ss_network_dim"] == "4" and made.lora.metadata["ss_base_model_version"] == "Wan"
    )
    assert "UnZipLoRA" in made.style_lora.message


def test_a_fused_model_is_refused_also_where_an_equal_training_is_kept(pack, small):
    given = [pictures(small, "wan", 1)], [conditioning("wan", 1)]
    made = train(pack, small, *given, steps=1)
    fused = fuse(pack, small, made.lora, made.lora).model
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match="^Connect the model from before K-"):
        train(pack, fused, *given, steps=1)


def test_a_lora_whose_ranks_are_chosen_works_in_compose_loras(pack, small):
    made = train(pack, small, [pictures(small, "wan", 1)], [conditioning("wan", 1)], "SMoRA", rank=12)
    assert "Compose LoRAs" in made.report and all(key.startswith("klora_ranks.") for key in made.lora)
    base, tried = sample(small, "wan"), sample(made.model, "wan")
    composed = compose(pack, small, lora_set(pack, (made.lora, "subject", 1.0)), {"method": "LoRA Switch"})
    assert relative(tried, base) > 1e-4 and torch.equal(tried, sample(composed.model, "wan"))
    # From what was kept it is the same.
    again = train(pack, small, [pictures(small, "wan", 1)], [conditioning("wan", 1)], "SMoRA", rank=12)
    assert all(torch.equal(made.lora[key], again.lora[key]) for key in made.lora)


def test_masks_of_latents_are_said_not_to_count(pack, small):
    masked = {**pictures(small, "wan", 1), "noise_mask": torch.ones(1, 8, 8)}
    assert "NOT used" in train(pack, small, [masked], [conditioning("wan", 1)], steps=1).report


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda d: d.update(positive=[conditioning("wan", 1)] * 3), "3 prompts in positive and 1 pictures"),
        (lambda d: d.update(latents=[{"samples": torch.zeros(1, 4, 8, 8)}]), "the VAE of this model"),
        (lambda d: d.update(latents=[{"samples": torch.zeros(0, 16, 1, 8, 8)}]), "at least one picture"),
        (lambda d: d.update(latents=[{}]), "latents must be a latent"),
        (lambda d: d.update(latents=[{"samples": 1}]), "Encode the pictures with VAE Encode"),
        (lambda d: d.update(method="LoHa"), "method must be one of plain, CoTo, BeamLoRA"),
        (lambda d: d.update(method="UnZipLoRA", prompts=[]), "Connect a prompt to content"),
        (
            lambda d: d.update(
                method="UnZipLoRA", prompts=[conditioning("wan", 1) * 2, conditioning("wan", 2)]
            ),
            "Give one prompt as content",
        ),
        (lambda d: d.update(steps=0.5), "steps must be a whole number"),
        (lambda d: d.update(steps=0), "Give steps 1 or more: steps is 0"),
        (lambda d: d.update(batch=-1), "Give batch 1 or more: batch is -1"),
        (lambda d: d.update(rank=0), "Give rank 1 or more: rank is 0"),
        (lambda d: d.update(positive=[hooked(conditioning("wan", 1))]), "Connect prompts, or a text encoder"),
        (
            lambda d: d.update(
                method="UnZipLoRA", prompts=[conditioning("wan", 1), hooked(conditioning("wan", 2))]
            ),
            "without hooks: what hooks do while sampling can't be learned on",
        ),
        (lambda d: d.update(rate=float("nan")), "rate must be a finite number"),
        (lambda d: d.update(layers="heads"), ": unknown layers"),
        (lambda d: d.update(model=None), "model must be a model"),
    ],
)
def test_bad_input_gets_one_line(pack, small, change, says):
    given = {"model": small, "latents": [pictures(small, "wan", 1)], "positive": [conditioning("wan", 1)]}
    change(given)
    error = part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match=re.escape(says)):
        train(pack, **given)


@pytest.mark.parametrize("family", ["flux", "sd35", "z_image"])
def test_unziplora_is_refused_where_text_and_picture_are_one_attention(pack, family):
    model, prompt = loadable(family), conditioning(family, 1)
    with pytest.raises(part(pack, "klora_core.errors").KLoraError, match="text and picture in one attention"):
        train(pack, model, [pictures(model, family, 1)], [prompt], "UnZipLoRA", [prompt, prompt])


def test_a_prompt_of_a_half_reaches_that_half(pack, small):
    """After one step both halves have learned; with another prompt of the style, the style's differs."""
    given = [pictures(small, "wan", 1)], [conditioning("wan", 1)], "UnZipLoRA"
    one, other = (
        train(pack, small, *given, [conditioning("wan", 2), conditioning("wan", style)], steps=1, clip=0.0)
        for style in (3, 4)
    )
    # Of the last layer that reads text: what follows it sees another picture.
    key = "lora_unet_blocks_1_cross_attn_v.lora_down.weight"
    assert not torch.equal(one.style_lora[key], other.style_lora[key])
    assert one.lora.keys() == other.lora.keys()


def test_in_sdxl_one_half_has_all_outputs_of_a_block_of_the_decoder(pack):
    """As the authors' code has it; everywhere else a half has to earn its outputs."""
    model = loadable("sdxl")
    prompts = [conditioning("sdxl", seed) for seed in (1, 2, 3)]
    given = [pictures(model, "sdxl", 1)], prompts[:1], "UnZipLoRA", prompts[1:]
    made = train(pack, model, *given, steps=3, rate=0.03)
    shares = {"content": {}, "style": {}}
    for half, lora in (("content", made.lora), ("style", made.style_lora)):
        for key in [key for key in lora if key.endswith("lora_up.weight")]:
            place = re.search(r"(output_blocks_\d+|input|middle)", key).group(1)
            shares[half].setdefault(place, []).append(float(lora[key].any(dim=1).float().mean()))
    owners = {f"output_blocks_{i}": "content" if i in (0, 2) else "style" for i in range(6)}
    for place, found in shares["content"].items():
        for half, own in (("content", found), ("style", shares["style"][place])):
            if owners.get(place) == half:
                assert set(own) == {1.0}, (place, half)
            else:
                # A tenth for each of three periods.
                assert min(own) > 0 and max(own) <= 0.31, (place, half)


def test_layers_by_kind(pack):
    sizes, model = part(pack, "nodes.training").sizes, loadable("sd15")
    counts = {kind: sizes(model, kind) for kind in ("attention", "blocks", "all")}
    assert len(counts["attention"]) < len(counts["blocks"]) < len(counts["all"])
    assert all(".attn" in slot.weight for slot in counts["attention"])
    kernels = {s.weight: shape for s, shape in counts["all"].items() if s.weight.endswith("in_layers.2")}
    assert kernels and all(n % 9 == 0 for _, n in kernels.values())
    made = train(pack, model, [pictures(model, "sd15", 1)], [conditioning("sd15", 1)], layers="all", steps=1)
    assert relative(answer(pack, model, "sd15", [made.lora]), answer(pack, made.model, "sd15")) < 1e-5
    shapes = {made.lora[key].ndim for key in made.lora if key.endswith("down.weight")}
    assert shapes == {2, 4}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_bases_of_fewer_bits_are_trained_through(pack, dtype):
    model = loadable("z_image", dtype)
    weights = {name: weight.dtype for name, weight in model.model.named_parameters()}
    made = train(pack, model, [pictures(model, "z_image", 1)], [conditioning("z_image", 1)], steps=6)
    before, after = map(float, re.search(r"([\d.]+) before, ([\d.]+) after", made.report).groups())
    assert after < before and all(tensor.dtype == torch.float32 for tensor in made.lora.values())
    assert weights == {name: weight.dtype for name, weight in model.model.named_parameters()}


def test_a_model_that_cannot_be_loaded_again_gets_the_remedy(pack):
    model = loadable("wan")
    model.cached_patcher_init = None
    error = part(pack, "klora_core.errors").KLoraError
    with pytest.raises(error, match="Load the checkpoint with Load Checkpoint"):
        train(pack, model, [pictures(model, "wan", 1)], [conditioning("wan", 1)])
