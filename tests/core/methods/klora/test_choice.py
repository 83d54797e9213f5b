"""The command line's JSON against the oracle: same slots, same numbers, same winner in every step."""

from __future__ import annotations

import json
from itertools import product

import pytest

from klora_core.cli import main
from tests.support import loras, oracle

ALPHA, BETA = 1.5, {"s": 0.5, "s*": 1.3}
# Float32 products against float64: below this relative distance from a tie either answer is right.
TIE = 2e-5

UNET_PAIRS = {
    "kohya sgm fp32, kohya diffusers fp32": (
        ("kohya-sgm", {"ranks": (4, 8), "alpha": 2.0}),
        ("kohya-diffusers", {"ranks": (8,), "size": 0.2}),
    ),
    "old diffusers fp16, peft bf16": (
        ("diffusers-old", {"ranks": (4,), "dtype": "fp16"}),
        ("peft", {"ranks": (2, 6), "dtype": "bf16", "alpha": 4.0}),
    ),
    "simpletuner bf16, ai-toolkit fp16, normal": (
        ("simpletuner", {"ranks": (16,), "dtype": "bf16", "alpha": 1.0, "heavy": False}),
        ("ai-toolkit", {"ranks": (1, 3), "dtype": "fp16", "heavy": False}),
    ),
}
FLUX_PAIRS = {
    "fused, split": ((loras.FLUX_FUSED, "kohya-sgm", {"alpha": 8.0}), (loras.FLUX_SPLIT, "transformer", {})),
    "split, fused": (
        (loras.FLUX_SPLIT, "onetrainer", {"dtype": "bf16", "ranks": (3, 5)}),
        (loras.FLUX_FUSED, "bfl", {"dtype": "fp16", "alpha": 2.0}),
    ),
    "split, split": ((loras.FLUX_SPLIT, "simpletuner", {}), (loras.FLUX_SPLIT, "transformer", {"size": 0.4})),
    "fused, fused": ((loras.FLUX_FUSED, "ai-toolkit", {}), (loras.FLUX_FUSED, "kohya-sgm", {"size": 0.01})),
}
SETTINGS = list(product(("s", "s*"), ("paper", "reference", "none"), (1, 7, 30)))


def compare(subject, style, tmp_path, *, schedule, gamma, steps, alpha=None, beta=None, balance=0.0):
    out = tmp_path / "plan.json"
    arguments = ["report", str(subject.path), str(style.path), "--steps", str(steps), "--schedule", schedule]
    arguments += ["--gamma", gamma, "--balance", str(balance), "--json", str(out)]
    arguments += [] if alpha is None else ["--alpha", str(alpha)]
    arguments += [] if beta is None else ["--beta", str(beta)]
    assert main(arguments) == 0
    document = json.loads(out.read_text(encoding="utf-8"))

    slots = oracle.competing(*(oracle.changes(m.path, m.table, m.suffixes) for m in (subject, style)))
    wanted_gamma = oracle.decide(
        slots,
        schedule,
        ALPHA if alpha is None else alpha,
        BETA[schedule] if beta is None else beta,
        balance,
        gamma,
        steps,
    )
    assert {slot["name"] for slot in document["slots"]} == set(slots)
    assert document["gamma"]["value"] == pytest.approx(wanted_gamma, rel=1e-5)
    for slot in document["slots"]:
        wanted = slots[slot["name"]]
        assert slot["k"] == wanted.k
        numbers = [slot[f"{what}_{who}"] for what in ("score", "l1") for who in ("subject", "style")]
        assert numbers == pytest.approx([wanted.s_c, wanted.s_s, wanted.l1_c, wanted.l1_s], rel=1e-5)
        for step, (got, want, margin) in enumerate(
            zip(slot["choice"], wanted.choice, wanted.margins, strict=True)
        ):
            assert got == want or margin < TIE, f"{slot['name']}, step {step}: {got}, oracle {want}"
    return document


@pytest.mark.parametrize("pair", UNET_PAIRS)
@pytest.mark.parametrize(("schedule", "gamma", "steps"), SETTINGS)
def test_unet(pair, schedule, gamma, steps, tmp_path):
    files = [
        loras.make(tmp_path / f"{role}.safetensors", loras.UNET, spelling, seed=len(pair) + seed, **options)
        for seed, (role, (spelling, options)) in enumerate(zip("cs", UNET_PAIRS[pair], strict=True))
    ]
    document = compare(*files, tmp_path, schedule=schedule, gamma=gamma, steps=steps)
    assert len(document["slots"]) == len(loras.UNET)
    assert document["unmatched"] == {"subject": [], "style": []}


@pytest.mark.parametrize("pair", FLUX_PAIRS)
@pytest.mark.parametrize(("schedule", "gamma", "steps"), SETTINGS[::2])
def test_flux(pair, schedule, gamma, steps, tmp_path):
    files = [
        loras.make(tmp_path / f"{role}.safetensors", layers, spelling, seed=seed, **options)
        for seed, (role, (layers, spelling, options)) in enumerate(zip("cs", FLUX_PAIRS[pair], strict=True))
    ]
    document = compare(*files, tmp_path, schedule=schedule, gamma=gamma, steps=steps)
    assert len(document["slots"]) == (6 if pair == "fused, fused" else 13)


@pytest.mark.parametrize("seed", range(6))
def test_random_settings(seed, tmp_path):
    import random

    draw = random.Random(seed)
    files = [
        loras.make(
            tmp_path / f"{role}.safetensors",
            loras.UNET,
            draw.choice(("kohya-sgm", "kohya-diffusers", "peft", "diffusers-old", "ai-toolkit")),
            seed=draw.randrange(10**6),
            ranks=tuple(draw.randint(1, 20) for _ in range(5)),
            dtype=draw.choice(tuple(loras.DTYPES)),
            alpha=draw.choice((None, 0.5, 16.0)),
            heavy=draw.random() < 0.7,
        )
        for role in "cs"
    ]
    compare(
        *files,
        tmp_path,
        schedule=draw.choice(("s", "s*")),
        gamma=draw.choice(("paper", "reference", "none")),
        steps=draw.choice((4, 28, 50)),
        alpha=round(draw.uniform(0.2, 3), 3),
        beta=round(draw.uniform(0, 2), 3),
        balance=round(draw.uniform(-1, 1), 2),
    )


def test_the_pairs_are_not_decided_alike(tmp_path):
    """Guards the guards: a comparison of constant choices would prove nothing."""
    (c, c_options), (s, s_options) = UNET_PAIRS["kohya sgm fp32, kohya diffusers fp32"]
    subject = loras.make(tmp_path / "c.safetensors", loras.UNET, c, seed=1, **c_options)
    style = loras.make(tmp_path / "s.safetensors", loras.UNET, s, seed=2, **s_options)
    document = compare(subject, style, tmp_path, schedule="s", gamma="paper", steps=30)
    assert len({slot["choice"] for slot in document["slots"]}) > 5


def test_a_constant_factor_on_one_lora_changes_nothing(tmp_path):
    subject = loras.make(tmp_path / "c.safetensors", loras.UNET, "peft", seed=1)
    choices = []
    for factor in (1.0, 8.0):
        style = loras.make(
            tmp_path / "s.safetensors", loras.UNET, "kohya-sgm", seed=2, ranks=(4,), alpha=factor
        )
        document = compare(subject, style, tmp_path, schedule="s", gamma="paper", steps=30)
        choices.append([slot["choice"] for slot in document["slots"]])
    assert choices[0] == choices[1]
