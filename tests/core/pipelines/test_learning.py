"""A merge learned on diffusers' own networks: what it learns is what the pipeline's loader puts on it."""

from __future__ import annotations

import pytest
import torch

from klora_core.errors import KLoraError
from klora_core.pipelines import teach
from klora_core.train import Item, Options
from tests.support import pipelines
from tests.support.pipelines import model_of

from .test_fusion import files

pytestmark = pytest.mark.slow

WORDS, COUNT = 5, 3


def made(family, folder, spellings, dtype=torch.float32):
    pipe = pipelines.MAKE[family]().to(dtype)
    loras = [each.path for each in files(family, model_of(pipe), spellings, folder)]
    return pipe, loras


def items(family):
    draw = torch.Generator().manual_seed(4)
    words = torch.randn(1, WORDS, 24, generator=draw)
    if family == "flux":
        condition = {
            "encoder_hidden_states": words,
            "pooled_projections": torch.randn(1, 24, generator=draw),
            "guidance": torch.full((1,), 3.5),
            "img_ids": torch.zeros(16, 3),
            "txt_ids": torch.zeros(WORDS, 3),
        }
        return [Item(torch.randn(1, 16, 16, generator=draw), condition) for _ in range(COUNT)]
    condition = {"encoder_hidden_states": words}
    if family == "sdxl":
        added = {"text_embeds": torch.randn(1, 24, generator=draw), "time_ids": torch.ones(1, 6)}
        condition["added_cond_kwargs"] = added
    return [Item(torch.randn(1, 4, 8, 8, generator=draw), condition) for _ in range(COUNT)]


def of_flux(model):
    def call(x, timestep, condition):
        own = {
            key: v if key.endswith("ids") else v.expand(len(x), *v.shape[1:]) for key, v in condition.items()
        }
        return model(hidden_states=x, timestep=timestep / 1000, **own, return_dict=False)[0]

    return call


@pytest.mark.parametrize(
    ("family", "spellings"),
    [
        ("sd15", ("kohya-diffusers", "peft")),
        ("sdxl", ("kohya-sgm", "peft")),
        ("flux", ("kohya-sgm", "transformer")),
    ],
)
def test_it_learns_and_the_pipeline_s_own_loader_takes_it(family, spellings, tmp_path):
    pipe, loras = made(family, tmp_path, spellings)
    model, given = model_of(pipe), items(family)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    losses = []
    options = Options(steps=20, rate=0.05, batch=6, copies=12, at_once=6)
    lora = teach(
        model,
        loras,
        given,
        pipe.scheduler,
        strengths=(0.7, 0.7),
        options=options,
        call=of_flux(model) if family == "flux" else None,
        callback=lambda done, loss: losses.append(loss),
    )
    assert len(losses) == 20 and sum(losses[-5:]) < sum(losses[:5])
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert not any(m._forward_hooks or "forward" in vars(m) for m in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    # The result in the weights, by hand, against the loader's own.
    twin = pipelines.MAKE[family]()
    state = twin_state = model_of(twin).state_dict()
    for name, down in lora.items():
        if name.endswith("lora_A.weight"):
            layer = name.split(".", 1)[1].removesuffix(".lora_A.weight")
            up = lora[name.replace("lora_A", "lora_B")]
            weight = twin_state[f"{layer}.weight"]
            twin_state[f"{layer}.weight"] = weight + (up.flatten(1) @ down.flatten(1)).view_as(weight)
    model_of(twin).load_state_dict(state)
    pipe.load_lora_weights(dict(lora))
    found, wanted, bare = (
        pipelines.latents(each.to(torch.float64), 2) for each in (pipe, twin, pipelines.MAKE[family]())
    )
    assert float((found - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
    assert float((bare - wanted).abs().max()) > 1e-2 * float(wanted.abs().max())


def test_stopped_and_gone_on_is_the_same_bit_for_bit(tmp_path):
    pipe, loras = made("sd15", tmp_path, ("peft", "peft"))
    options, kept = Options(steps=4, batch=2, copies=6, at_once=2), []

    class Stop(BaseException):
        pass

    def stop(done, loss):
        if done == 2:
            raise Stop

    given = items("sd15")
    whole = teach(pipe.unet, loras, given, pipe.scheduler, options=options)
    with pytest.raises(Stop):
        teach(pipe.unet, loras, given, pipe.scheduler, options=options, callback=stop, keep=kept.append)
    assert not any(m._forward_hooks or "forward" in vars(m) for m in pipe.unet.modules())
    rest = teach(pipe.unet, loras, given, pipe.scheduler, options=options, state=kept[-1])
    assert rest.keys() == whole.keys() and all(torch.equal(rest[key], whole[key]) for key in whole)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_target_is_what_makes_the_scheduler_find_the_picture(kind, tmp_path):
    """Its own step from the noised latent by the target ends in the latent."""
    from klora_core.pipelines.learning import OnPipeline

    scheduler = pipelines.diffusers.DDIMScheduler(prediction_type=kind, clip_sample=False)
    on = OnPipeline(torch.nn.Linear(1, 1), scheduler, None, None)
    draw = torch.Generator().manual_seed(1)
    latent, noise = (torch.randn(3, 4, 8, 8, generator=draw) for _ in range(2))
    x, steps, target = on.noised(latent, noise, torch.tensor([0.1, 0.5, 0.9]))
    scheduler.set_timesteps(10)
    for i, step in enumerate(steps):
        found = scheduler.step(target[i], step, x[i]).pred_original_sample
        torch.testing.assert_close(found, latent[i], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(x[i], scheduler.add_noise(latent[i], noise[i], step[None]))


def test_what_does_not_fit_is_said(tmp_path):
    pipe, loras = made("sd15", tmp_path, ("peft", "peft"))
    with pytest.raises(KLoraError, match="^Give at least one picture: there is nothing to learn from"):
        teach(pipe.unet, loras, [], pipe.scheduler)
    with pytest.raises(KLoraError, match="^Give one strength for each LoRA: got 1 strengths to start"):
        teach(pipe.unet, loras, items("sd15"), pipe.scheduler, strengths=(1.0,))
    _, others = made("flux", tmp_path, ("transformer", "transformer"))
    with pytest.raises(KLoraError, match="^Choose a LoRA made for this model"):
        teach(pipe.unet, others, items("sd15"), pipe.scheduler, options=Options(steps=1))
