"""K-LoRA Sweep: each of its models is the one that a node of its own makes, in the order of the list."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from klora_core.loras import STYLE, SUBJECT
from tests.support.host.nodes import UNET_LAYERS, compose, fuse, lora_set, part


class Swept(NamedTuple):
    """The five outputs of K-LoRA Sweep."""

    models: list[Any]
    clips: list[Any]
    labels: list[str]
    plans: list[Any]
    report: str


@pytest.fixture(scope="module")
def _sd15(_narrow_sd15):
    return _narrow_sd15


def sweep(pack, model, pair, over: Any, **options) -> Swept:
    return Swept(*part(pack, "nodes").KLoRASweep.execute(model, *pair, over, **options).result)


def over(kind: str, **values: Any) -> dict[str, Any]:
    """What the host nests of the dynamic combo."""
    return {"over": kind, **values}


def latents(sample, conds, models) -> list[torch.Tensor]:
    return [sample(model, conds.positive, conds.negative) for model in models]


def test_each_model_is_that_of_a_fuse_with_its_balance(pack, sd15, pair, sample, sd15_conds):
    values = (-0.4, 0.0, 0.3)
    swept = sweep(pack, sd15.model, pair, over("balance", balances="-0.4, 0, 0.3"))
    fused = [fuse(pack, sd15.model, *pair, balance=value) for value in values]
    assert swept.labels == ["balance -0.4", "balance 0", "balance 0.3"]
    assert swept.plans == [each.plan for each in fused]
    expected = latents(sample, sd15_conds, [each.model for each in fused])
    found = latents(sample, sd15_conds, swept.models)
    assert all(map(torch.equal, found, expected))
    assert not torch.equal(found[0], found[2])


def test_by_default_it_goes_by_tenths(pack, sd15, pair):
    swept = sweep(pack, sd15.model, pair, over("balance"))
    assert swept.labels == [f"balance {value}" for value in ("-0.4", "-0.2", "0", "0.2", "0.4")]


def test_strengths_of_both_or_of_each(pack, sd15, pair, sample, sd15_conds):
    swept = sweep(
        pack, sd15.model, pair, over("strength", strengths="0.8, 1:0.5", balance=0.2), clip=sd15.clip
    )
    assert swept.labels == ["strength 0.8", "subject 1, style 0.5"]
    both = ((0.8, 0.8), (1.0, 0.5))
    fused = [
        fuse(pack, sd15.model, *pair, balance=0.2, subject_strength=a, style_strength=b) for a, b in both
    ]
    assert swept.plans == [each.plan for each in fused]
    expected = latents(sample, sd15_conds, [each.model for each in fused])
    assert all(map(torch.equal, latents(sample, sd15_conds, swept.models), expected))
    assert len(swept.clips) == 2, "their text parts are as strong as they are"


def test_schedules_and_what_stands_beside_them(pack, sd15, pair):
    swept = sweep(pack, sd15.model, pair, over("schedule", schedules="s, s*, np-lora", balance=-0.1))
    assert swept.labels == ["schedule s", "schedule s*", "schedule np-lora"]
    names = [{"schedule": name} for name in ("s", "s*", "np-lora")]
    fused = [fuse(pack, sd15.model, *pair, schedule=name, balance=-0.1) for name in names]
    assert swept.plans == [each.plan for each in fused]


def test_methods_by_the_names_that_compose_loras_has(pack, sd15, pair, sample, sd15_conds):
    names = ["K-LoRA", "LoRA Switch", "LoRA Composite", "NP-LoRA"]
    swept = sweep(pack, sd15.model, pair, over("method", methods="k-lora, " + ", ".join(names[1:])))
    assert swept.labels == names
    loras = lora_set(pack, (pair[0], SUBJECT, 1.0), (pair[1], STYLE, 1.0))
    composed = [compose(pack, sd15.model, loras, {"method": name}) for name in names]
    assert [each.to_json(4) for each in swept.plans] == [each.plan.to_json(4) for each in composed]
    expected = latents(sample, sd15_conds, [each.model for each in composed])
    assert all(map(torch.equal, latents(sample, sd15_conds, swept.models), expected))


def test_the_loras_are_compared_once(pack, sd15, pair, monkeypatch):
    scoring, calls = part(pack, "nodes.host.scoring"), []
    score = scoring.score
    scoring.TOP_K.clear()
    part(pack, "nodes.composing").SETS.clear()
    monkeypatch.setattr(
        scoring, "score", lambda requests, *a: calls.append(len(requests)) or score(requests, *a)
    )
    sweep(pack, sd15.model, pair, over("balance"))
    assert calls == [2 * len(UNET_LAYERS)]


def test_one_text_encoder_for_models_that_share_it(pack, sd15, pair):
    assert len(sweep(pack, sd15.model, pair, over("balance"), clip=sd15.clip).clips) == 1
    assert sweep(pack, sd15.model, pair, over("balance")).clips == [None]


def test_what_is_left_out_is_in_the_report_of_each(pack, sd15, pair):
    more = {"lora_unet_no_such_layer.lora_up.weight": torch.ones(4, 1)}
    more["lora_unet_no_such_layer.lora_down.weight"] = torch.ones(1, 4)
    report = sweep(
        pack, sd15.model, ({**pair[0], **more}, pair[1]), over("balance", balances="0, 0.1")
    ).report
    assert report.count("NOT applied") == report.count("lora_unet_no_such_layer") == 2
    assert report.startswith("balance 0\n") and "\nbalance 0.1\n" in report


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (" -0.1 ,0.1; 0.2\n0.3,", ["-0.1", "0.1", "0.2", "0.3"]),
        ("\u22120.1\uff0c0.1\u30010.2\uff1b\uff10.3", ["-0.1", "0.1", "0.2", "0.3"]),
        ("1, -1, -0", ["1", "-1", "0"]),
        (".25", ["0.25"]),
        ("-1,0,1", ["-1", "0", "1"]),
        ("-1,1", ["-1", "1"]),
        ("0,1, 0.5", ["0", "1", "0.5"]),
        ("0,0.2,0.4", ["0", "0.2", "0.4"]),
        ("0\uff0c1", ["0", "1"]),
    ],
)
def test_a_list_as_people_type_it(pack, sd15, pair, text, labels):
    swept = sweep(pack, sd15.model, pair, over("balance", balances=text))
    assert swept.labels == [f"balance {label}" for label in labels]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (over("balance", balances=""), "Write balances with commas between"),
        (over("balance", balances=" ,\n;"), "Write balances with commas between"),
        (over("balance", balances="0, much"), "'much' is none"),
        (over("balance", balances="0 0.2"), "'0 0.2' is none"),
        (over("balance", balances="nan"), "'nan' is none"),
        (over("balance", balances="1e999"), "'1e999' is none"),
        (over("balance", balances="-0,4, 0"), "from -1 to 1, with a point in a number"),
        (over("balance", balances="-0,1"), "'-0,1' may be one number or two"),
        (over("balance", balances="\u22120,1"), "'-0,1' may be one number or two"),
        (over("balance", balances="0,1; 1"), "'0,1' may be one number or two"),
        (over("balance", balances="0, 0,2\n1"), "with a point in a number"),
        (over("balance", balances="0,1,"), "'0,1' may be one number or two"),
        (over("balance", balances="2"), "from -1 to 1, with a point in a number"),
        (over("strength", strengths="0,8, 1"), "'0,8' may be one number or two"),
        (over("strength", strengths="1, 0,8:1"), "'0,8:1' may be one number or two"),
        (over("balance", balances="0.2, 0, 0.20"), "Take '0.20' out of balances once"),
        (over("balance", balances=0.2), "balances must be a text"),
        (over("balance", schedule={"schedule": "fast"}), ": unknown schedule 'fast'"),
        (over("strength", strengths="1:"), "'' is none"),
        (over("strength", strengths="1:2:3"), "'2:3' is none"),
        (over("strength", strengths="11"), "from -10 to 10"),
        (over("schedule", schedules="s, t"), "Write schedules by their names, s, s*, np-lora: 't' is none"),
        (over("method", methods="K-LoRA, K-LoRa"), "Take 'K-LoRa' out of methods once"),
        (over("method", methods="MoLE"), "Use Compose LoRAs for MoLE: it needs gate connected"),
        (over("method", methods="TIES"), "Write methods by their names, K-LoRA, LoRA Switch"),
        (over("method", methods="B-LoRA"), "B-LoRA"),
        (over("colour"), "over must be one of balance, strength, schedule, method"),
        (over("balance", methods="K-LoRA"), "balance has no such input: 'methods'"),
        (None, "over must be one of balance, strength, schedule, method"),
    ],
)
def test_bad_text_is_one_clear_line(pack, sd15, pair, given, words):
    with pytest.raises(ValueError) as caught:
        sweep(pack, sd15.model, pair, given)
    assert type(caught.value).__name__ == "KLoraError"
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_lora_of_another_base_model_is_named(pack, sd15, pair):
    file = part(pack, "nodes.loras.file").LoraStateDict
    foreign = {"lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": torch.ones(9, 1)}
    foreign["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"] = torch.ones(1, 3)
    with pytest.raises(ValueError, match="flux-style"):
        sweep(pack, sd15.model, (pair[0], file(foreign, "flux-style.safetensors")), over("balance"))
