"""MoLE, Arrow and SMoRA in the host's sampler, against gates over the LoRAs' whole outputs."""

from __future__ import annotations

import pytest
import torch

from tests.support.gates.in_host import ArrowOracle, MoleOracle, both, trained
from tests.support.host.nodes import compose, relative
from tests.support.host.reference import random_lora

TOLERANCE = 1e-4
FLUX_LAYERS = (
    *(f"double_blocks.{b}.{s}_attn.{p}" for b in (0, 1) for s in ("img", "txt") for p in ("qkv", "proj")),
    "double_blocks.0.img_mlp.0",
    "double_blocks.0.img_mod.lin",
    "single_blocks.0.linear1",
    "single_blocks.1.linear2",
    "img_in",
)


@pytest.mark.parametrize(("pool", "total"), [("picture", "N"), ("token", "1")])
def test_mole_on_sd15(pack, sd15, sd15_conds, pair, sample, pool, total):
    gate, e = trained(pack, sd15.model, pair, pool, total)
    strengths = (0.9, 1.2)
    made = compose(pack, sd15.model, both(pack, pair, *strengths), {"method": "MoLE", "gate": gate})
    plain = sample(sd15.model, *sd15_conds)
    found = sample(made.model, *sd15_conds)
    wanted = sample(MoleOracle(pair, e, 0.8, pool, total, strengths=strengths).patch(sd15.model), *sd15_conds)
    assert relative(plain, wanted) > 100 * TOLERANCE, "the LoRAs show"
    even = sample(
        MoleOracle(pair, {k: v * 0 for k, v in e.items()}, 1, pool, total).patch(sd15.model), *sd15_conds
    )
    assert relative(even, wanted) > 10 * TOLERANCE, "the gates show"
    assert relative(found, wanted) < TOLERANCE
    assert torch.equal(sample(sd15.model, *sd15_conds), plain), "nothing is left on the model"


def test_conds_in_one_call_and_one_by_one_are_the_same(pack, sd15, sd15_conds, pair, sample, monkeypatch):
    """Each picture and each of its conds has gates of its own."""
    gate, _ = trained(pack, sd15.model, pair)
    made = compose(pack, sd15.model, both(pack, pair), {"method": "MoLE", "gate": gate})
    calls = []
    made.model.add_wrapper(
        "apply_model", lambda run, *args, **kw: calls.append(len(args[0])) or run(*args, **kw)
    )
    two = torch.zeros(2, 4, 6, 6)
    together = sample(made.model, *sd15_conds, steps=2, latent=two)
    monkeypatch.setattr(sd15.model.model, "memory_required", lambda *args, **kwargs: 1e30)
    apart = sample(made.model, *sd15_conds, steps=2, latent=two)
    assert set(calls) == {4, 2}, "conds were batched once and not the other time"
    assert relative(apart, together) < 1e-5
    alone = sample(made.model, *sd15_conds, steps=2, latent=two[:1])
    assert relative(together[:1], alone) < 1e-5 and relative(together[1:], alone) > 1e-2


def test_arrow_on_sd15(pack, sd15, sd15_conds, pair, sample):
    made = compose(pack, sd15.model, both(pack, pair), "Arrow")
    wanted = sample(ArrowOracle(pair).patch(sd15.model), *sd15_conds)
    assert relative(sample(made.model, *sd15_conds), wanted) < TOLERANCE


def test_mole_on_flux(pack, flux_model, flux_conds, sample):
    loras = [random_lora(flux_model.model, FLUX_LAYERS, 3 + i, 5 + i, 0.3) for i in range(2)]
    gate, e = trained(pack, flux_model, loras)
    made = compose(pack, flux_model, both(pack, loras), {"method": "MoLE", "gate": gate})
    wanted = sample(MoleOracle(loras, e, 0.8, "picture", "N").patch(flux_model), *flux_conds)
    plain = sample(flux_model, *flux_conds)
    assert relative(plain, wanted) > 10 * TOLERANCE
    assert relative(sample(made.model, *flux_conds), wanted) < TOLERANCE


def test_mole_on_sdxl(pack, sdxl_model, sdxl_conds, sample):
    names = [*_attention(sdxl_model.model)][:12]
    loras = [random_lora(sdxl_model.model, names, 3 + i, 5 + i, 0.3) for i in range(2)]
    gate, e = trained(pack, sdxl_model, loras, "token", "1")
    made = compose(pack, sdxl_model, both(pack, loras), {"method": "MoLE", "gate": gate})
    wanted = sample(MoleOracle(loras, e, 0.8, "token", "1").patch(sdxl_model), *sdxl_conds, steps=3)
    assert relative(sample(sdxl_model, *sdxl_conds, steps=3), wanted) > 10 * TOLERANCE
    assert relative(sample(made.model, *sdxl_conds, steps=3), wanted) < TOLERANCE


def _attention(base):
    for name, module in base.diffusion_model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(("to_q", "to_v", "to_out.0", "proj_in")):
            yield name
