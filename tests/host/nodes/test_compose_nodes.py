"""LoRA Set, Compose LoRAs and Merge LoRAs in the real host: inputs, refusals, and what they equal."""

from __future__ import annotations

import comfy.utils
import folder_paths
import pytest
import torch
from comfy_extras.nodes_train import LoraModelLoader
from safetensors.torch import save_file

from klora_core import plan_file
from klora_core.merges import METHODS
from tests.support.host.nodes import (
    UNET_LAYERS,
    baked,
    compose,
    fuse,
    lora_set,
    merged,
    part,
    relative,
    unet_pair,
)
from tests.support.host.reference import random_lora


@pytest.fixture(scope="module")
def _sd15(_narrow_sd15):
    return _narrow_sd15


@pytest.fixture(scope="module")
def pair(_sd15):
    return unet_pair(_sd15.model.model)


@pytest.fixture(scope="module")
def styles(_sd15):
    """Three styles that differ in layers, size and rank."""
    model = _sd15.model.model
    return [
        random_lora(model, UNET_LAYERS[i:], rank=3 + i, seed=40 + i, scale=0.2 + 0.1 * i) for i in range(3)
    ]


def subject_and_style(pack, pair, *strengths):
    return lora_set(pack, *zip(pair, ("subject", "style"), strengths or (1.0, 1.0), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"balance": 0.4, "gamma": "reference", "layers": "attention"},
        {"schedule": {"schedule": "s*", "alpha": 1.5, "beta": 1.3}},
        {"score": "energy"},
        {"loser": "outside", "outside": 0.5},
    ],
)
def test_set_and_compose_equal_fuse_bit_for_bit(pack, sd15, sd15_conds, pair, sample, options):
    strengths = (0.9, 1.1)
    fused = fuse(pack, sd15.model, *pair, subject_strength=0.9, style_strength=1.1, **options)
    method = {"method": "K-LoRA", **options}
    composed = compose(pack, sd15.model, subject_and_style(pack, pair, *strengths), method)
    assert composed.plan == fused.plan and composed.report == fused.report
    assert torch.equal(sample(composed.model, *sd15_conds), sample(fused.model, *sd15_conds))


def test_every_method_at_its_defaults_reads_back_equal(pack, sd15, pair):
    for name in part(pack, "klora_core.methods").METHODS:
        # One is for SDXL, one needs a file.
        if name in ("B-LoRA", "MoLE"):
            continue
        plan = compose(pack, sd15.model, subject_and_style(pack, pair), name).plan
        found = part(pack, "klora_core.plan_file").from_json(plan.to_json(12))
        assert found == plan and plan.method.name == name
        assert plan_file.from_json(plan.to_json(12)).to_json(12) == plan.to_json(12)


def test_three_styles_by_role(pack, sd15, pair, styles):
    """The choice of the node's plan against a literal restatement on dense matrices."""
    loras = [(pair[0], "subject", 1.0), *((style, "style", 1.0) for style in styles)]
    plan = compose(pack, sd15.model, lora_set(pack, *loras), "K-LoRA").plan
    assert plan.labels == ("subject", "style", "style 2", "style 3")
    wanted = literal([pair[0], *styles], [slot.name for slot in plan.slots], 9)
    moments = part(pack, "klora_core.progress").in_steps(9).moments
    assert [plan.who(moment)[0].tolist() for moment in moments] == wanted
    assert {lora for row in wanted for lora in row} == {0, 1, 2, 3}, "all four lead somewhere"


def literal(loras, names, steps):
    """Eqs. 3 to 10 where the style of a slot is the one with the largest share of its own total."""
    from tests.support.host.reference import dense

    changes = [dense(lora) for lora in loras]
    k = {name: changes[0][name][1] * max(c[name][1] for c in changes[1:] if name in c) for name in names}
    top = [
        {
            n: float(c[n][0].abs().flatten().sort(descending=True).values[: k[n]].sum())
            for n in names
            if n in c
        }
        for c in changes
    ]
    totals = [sum(float(c[n][0].abs().sum()) for n in names if n in c) for c in changes]
    table = []
    for step in range(steps):
        scale = 1.5 * (step + 0.5) / steps + 0.5
        row = []
        for name in names:
            sizes = [top[i].get(name, 0.0) / totals[i] for i in range(len(loras))]
            style = max(range(1, len(loras)), key=lambda i: sizes[i])
            row.append(0 if sizes[0] >= scale * sizes[style] else style)
        table.append(row)
    return table


def test_a_lora_of_the_role_other_works_throughout(pack, sd15, sd15_conds, pair, styles, sample):
    extra = styles[0]
    for name in ("K-LoRA", "LoRA Switch", "LoRA Composite"):
        three = lora_set(pack, (extra, "other", 0.7), (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
        found = compose(pack, sd15.model, three, name, other_layers="drop")
        two = compose(
            pack, baked(sd15.model, extra, 0.7), subject_and_style(pack, pair), name, other_layers="drop"
        )
        assert relative(sample(found.model, *sd15_conds), sample(two.model, *sd15_conds)) < 1e-4
        assert "other: works beside them, throughout" in found.report
        assert "used nowhere" not in found.report and found.plan.candidates == ("subject", "style")


@pytest.mark.parametrize("method", [m.label for m in METHODS])
def test_merged_loras_load_in_core_and_fuse(pack, sd15, sd15_conds, pair, sample, method):
    lora, report = merged(pack, sd15.model, subject_and_style(pack, pair), method)
    model = LoraModelLoader.execute(sd15.model, lora, 1.0).result[0]
    base = sample(sd15.model, *sd15_conds)
    assert relative(sample(model, *sd15_conds), base) > 1e-3
    assert all(name in report for name in ("subject LoRA", "style LoRA"))
    assert fuse(pack, sd15.model, lora, pair[1]).plan.loras[0].slots == len(
        {k.rsplit(".lora_", 1)[0] for k in lora if ".lora_" in k}
    )


def test_the_linear_merge_in_core_is_the_static_composition(pack, sd15, sd15_conds, pair, sample):
    """Every LoRA of the role other: the side path's static plan, against the one merged LoRA in core."""
    subject, style = pair
    parts = ((subject, "subject", 0.8), (style, "other", -0.5))
    lora, _ = merged(pack, sd15.model, lora_set(pack, *parts), "Linear")
    for name in ("LoRA Switch", "LoRA Composite"):
        composed = compose(pack, sd15.model, lora_set(pack, *parts), name).model
        core = LoraModelLoader.execute(sd15.model, lora, 1.0).result[0]
        assert relative(sample(composed, *sd15_conds), sample(core, *sd15_conds)) < 1e-5


def respelled(model, lora, spelling):
    """A LoRA of dotted ComfyUI names under kohya's names, or under those that diffusers saves."""
    theirs = comfy.utils.unet_to_diffusers(model.model_config.unet_config)
    dotted = {ours.removesuffix(".weight"): name.removesuffix(".weight") for name, ours in theirs.items()}
    found = {}
    for key, tensor in lora.items():
        layer, _, end = key.removeprefix("diffusion_model.").rpartition(
            ".lora_" if ".lora_" in key else ".alpha"
        )
        if spelling == "kohya":
            ends = {"A.weight": ".lora_down.weight", "B.weight": ".lora_up.weight", "": ".alpha"}
            found["lora_unet_" + layer.replace(".", "_") + ends[end]] = tensor
        else:
            ends = {"A.weight": ".lora.down.weight", "B.weight": ".lora.up.weight", "": ".alpha"}
            found["unet." + dotted[layer] + ends[end]] = tensor
    return found


@pytest.mark.parametrize("spelling", ["kohya", "diffusers"])
def test_a_merged_lora_survives_core_s_save(
    pack, sd15, sd15_conds, pair, sample, tmp_path, monkeypatch, spelling
):
    from comfy_extras.nodes_train import SaveLoRA

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    plain, _ = merged(pack, sd15.model, subject_and_style(pack, pair), "NP-LoRA")
    named = [respelled(sd15.model.model, lora, spelling) for lora in pair]
    assert not any(set(one) & set(other) for one, other in zip(named, pair, strict=True))
    lora, _ = merged(pack, sd15.model, subject_and_style(pack, named), "NP-LoRA")
    assert lora.keys() == plain.keys() and all(torch.equal(lora[key], plain[key]) for key in plain)
    SaveLoRA.execute(lora, "loras/merged")
    (path,) = tmp_path.glob("loras/*.safetensors")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(path.parent)], {".safetensors"}))
    again = part(pack, "nodes").KLoRALoadLora.execute(path.name).result[0]
    before, after = (baked(sd15.model, each) for each in (dict(lora), dict(again)))
    assert torch.equal(sample(before, *sd15_conds), sample(after, *sd15_conds))


def test_a_merged_lora_has_the_words_and_the_base_model_of_its_parts(pack, sd15, pair):
    """Of those that take part, as files say them."""
    of_file = part(pack, "nodes.loras").LoraStateDict
    texts = [
        {"modelspec.trigger_phrase": words, "ss_base_model_version": "sd_v1"}
        for words in ("ohwx cat", "ink style", "silent")
    ]
    loras = [of_file(dict(pair[i % 2]), f"{i}.safetensors", text) for i, text in enumerate(texts)]
    strengths = 1.0, 0.5, 0.0
    members = [(lora, "style", strength) for lora, strength in zip(loras, strengths, strict=True)]
    lora, _ = merged(pack, sd15.model, lora_set(pack, *members), "Linear")
    told = part(pack, "nodes.loras").of_lora(lora)
    assert told == {"trigger_words": "ohwx cat, ink style", "base_model": "SD1.5"}


def test_a_matrix_larger_than_any_layer_is_refused_by_name(pack, sd15, pair):
    """And a layer of full rank is none: the node has the command's bounds, which are of memory."""
    with pytest.raises(
        part(pack, "klora_core.errors").KLoraError, match=r"LoRA-LEGO compares each of \d+ ranks"
    ):
        wide = {key: t if key.endswith("alpha") else _widened(key, t, 2100) for key, t in pair[0].items()}
        merged(pack, sd15.model, lora_set(pack, *[(wide, "style", 1.0)] * 2), "LoRA-LEGO")


def _widened(key, tensor, rank):
    """Factors of a rank in the thousands."""
    side = 0 if "lora_A" in key else 1
    return tensor.narrow(side, 0, 1).expand(*(rank if i == side else n for i, n in enumerate(tensor.shape)))


def test_a_stack_of_other_packs(pack, sd15, pair, styles, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    names = ("a.safetensors", "b.safetensors", "c.safetensors")
    for name, lora in zip(names, (pair[0], *styles[:2]), strict=True):
        save_file(lora, tmp_path / name)
    stack = [("None", 1.0, 1.0), (names[0], 0.9, 0.4), (names[1], 1.0, 1.0), (names[2], 0.5, 0.0)]
    execute = part(pack, "nodes").KLoRASet.execute
    members = execute(1.0, "subject", lora_stack=stack).result[0]
    assert [(m.name, m.role, m.strength, m.on_clip) for m in members] == [
        (names[0], "subject", 0.9, 0.4),
        (names[1], "style", 1.0, 1.0),
        (names[2], "style", 0.5, 0.0),
    ]
    roles = execute(1.0, "subject", lora_stack=stack, stack_roles="all styles").result[0]
    assert [m.role for m in roles] == ["style"] * 3
    more = execute(1.0, "subject", lora=pair[0], set=members[1:]).result[0]
    assert [m.role for m in more] == ["style", "style", "subject"]
    plan = compose(pack, sd15.model, members, "K-LoRA").plan
    assert [lora.strength for lora in plan.loras] == [0.9, 1.0, 0.5]


def test_a_row_that_is_off_takes_no_part(pack, sd15, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    execute = part(pack, "nodes").KLoRASet.execute
    save_file(pair[1], tmp_path / "a.safetensors")
    stack = [("a.safetensors", 1.0, 1.0)]
    first = execute(1.0, "subject", lora=pair[0]).result[0]
    assert execute(1.0, "style", lora=pair[1], set=first, on=True).result[0][1].role == "style"
    # Neither what it holds, nor what is wrong with it.
    off = {"lora": pair[1], "lora_stack": stack, "blocks": "no: such", "set": first, "on": False}
    assert execute(1.0, "style", **off).result[0] == first
    none = execute(1.0, "subject", lora=pair[0], on=False).result[0]
    later = execute(1.0, "style", lora=pair[1], set=none).result[0]
    assert [member.role for member in later] == ["style"]
    empty = execute(1.0, "style", lora=pair[1], set=none, on=False).result[0]
    for node, rest in (("KLoRACompose", ({"method": "LoRA Switch"},)), ("KLoRAMerge", ({"method": "TIES"},))):
        with pytest.raises(ValueError, match="Switch a LoRA of set on") as caught:
            getattr(part(pack, "nodes"), node).execute(sd15.model, empty, *rest)
        assert type(caught.value).__name__ == "KLoraError"
    with pytest.raises(ValueError, match="on must be true or false, got 'off'"):
        execute(1.0, "style", lora=pair[1], on="off")


def test_what_a_set_refuses(pack, pair):
    execute = part(pack, "nodes").KLoRASet.execute
    for options, words in (
        ({}, "^Connect a LoRA, .*: the LoRA Set is empty"),
        ({"lora": pair[0], "role": "content"}, "^Use one of subject, style, other: unknown role 'content'"),
        ({"lora": pair[0], "strength": float("nan")}, "strength must be a finite number"),
        ({"lora_stack": ["a.safetensors"]}, r"no \(name, strength_model, strength_clip\)"),
        ({"lora_stack": [("nowhere.safetensors", 1.0, 1.0)]}, "not in the loras folder"),
        ({"lora_stack": [], "stack_roles": "x"}, "^Use one of .*: unknown stack_roles"),
    ):
        with pytest.raises(ValueError, match=words):
            execute(**{"strength": 1.0, "role": "subject", **options})


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("LoRA Swap", "method must be one of K-LoRA, LoRA Switch"),
        ({"method": "LoRA Switch", "speed": 3}, "LoRA Switch has no such input"),
        ({"method": "LoRA Switch", "turn": {"turn": "minutes"}}, "turn must be one of"),
        ({"method": "LoRA Switch", "reserve": -1}, "reserve must not be negative"),
        ({"method": "CMLoRA", "late": "cats"}, "late must be one of"),
        ({"method": "K-LoRA", "score": "most"}, "^Use one of .*: unknown score 'most'"),
        ({"method": "K-LoRA", "loser": "outside", "outside": 2}, "outside must be within 0 and 1"),
        ("B-LoRA", "B-LoRA is made for SDXL"),
    ],
)
def test_what_compose_refuses(pack, sd15, pair, method, words):
    with pytest.raises(ValueError, match=words):
        compose(pack, sd15.model, subject_and_style(pack, pair), method)


def test_klora_without_a_style(pack, sd15, pair):
    with pytest.raises(ValueError, match="^Set roles: .* no LoRA here is a style\\.$"):
        compose(pack, sd15.model, lora_set(pack, (pair[0], "subject", 1.0)), "K-LoRA")
    with pytest.raises(ValueError, match="^Give at least one the role .*: no LoRA of the set takes part"):
        compose(pack, sd15.model, lora_set(pack, (pair[0], "other", 1.0)), "LoRA Switch")
