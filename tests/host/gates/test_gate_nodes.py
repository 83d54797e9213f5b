"""Gates through the nodes: files that come and go, LoRAs that are not theirs, what a run shows afterwards."""

from __future__ import annotations

import json

import folder_paths
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.gates.in_host import MoleOracle, both, trained
from tests.support.host.nodes import UNET_LAYERS, compose, fuse, lora_set, merged, part, relative
from tests.support.host.reference import PREFIX, random_lora


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty loras folder."""
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    return tmp_path


def by_gate(gate):
    return {"method": "MoLE", "gate": gate}


def test_a_run_shows_what_the_gates_were(pack, sd15, sd15_conds, pair, sample, monkeypatch):
    gate, e = trained(pack, sd15.model, pair)
    made = compose(pack, sd15.model, both(pack, pair), by_gate(gate))
    assert "decided by the picture: a run shows it" in made.report and "used nowhere" not in made.report
    nodes, columns = part(pack, "nodes"), part(pack, "klora_core.progress").in_steps(3)
    before = nodes.KLoRASelectionMap.execute(made.plan, 3).result
    sent = []
    monkeypatch.setattr(part(pack, "nodes.model.gates"), "announce_gates", lambda *told: sent.append(told))
    oracle, seen = MoleOracle(pair, e, 0.8, "picture", "N"), {}
    plain = oracle.gates

    def listening(name, parts, tokens):
        gates = plain(name, parts, tokens)
        seen.setdefault(name, []).append(gates.mean((0, 1)) / 2)
        return gates

    oracle.gates = listening
    sample(oracle.patch(sd15.model), *sd15_conds, steps=3)
    sample(made.model, *sd15_conds, steps=3)
    after = nodes.KLoRASelectionMap.execute(made.plan, 3, latent={"samples": torch.zeros(1)}).result
    assert not torch.equal(before[0], after[0])
    assert "decided by the picture: a run" not in after[1] and "subject" in after[1]
    plan = part(pack, "nodes.model").with_run(made.plan)
    mixed = plan.method.mixed(columns)
    for slot, (shown, has_gate) in enumerate(zip(plan.slots, plan.method.gated, strict=True)):
        if has_gate:
            wanted = torch.stack(seen[shown.name.removesuffix(".weight")]).T
            np.testing.assert_allclose(mixed[:2, slot], wanted, atol=1e-3)
    assert np.allclose(mixed.sum(axis=0), 1, atol=1e-3)
    (told,) = sent
    assert told[2] == 3 and told[1] == plan
    document = json.loads(json.dumps(plan.to_json(3)))
    assert part(pack, "klora_core.plan_file").from_json(document) == plan != made.plan


def test_nothing_is_left_after_runs_that_end_and_runs_that_do_not(pack, sd15, sd15_conds, pair, sample):
    def own_forwards():
        return [name for name, module in sd15.model.model.named_modules() if "forward" in vars(module)]

    # Core's bypass, in tests before, leaves the class's own forward on the modules of the shared model.
    before = own_forwards()
    gate, _ = trained(pack, sd15.model, pair)
    made = compose(pack, sd15.model, both(pack, pair), by_gate(gate))
    plain = sample(sd15.model, *sd15_conds, steps=2)
    whole = sample(made.model, *sd15_conds, steps=2)

    class Stop(BaseException):
        pass

    def stop(*_):
        raise Stop

    with pytest.raises(Stop):
        sample(made.model, *sd15_conds, steps=2, callback=stop)
    assert not any(module._forward_hooks for module in sd15.model.model.modules())
    assert own_forwards() == before
    assert torch.equal(sample(sd15.model, *sd15_conds, steps=2), plain)
    assert torch.equal(sample(made.model, *sd15_conds, steps=2), whole)


def test_a_gate_survives_core_s_save_and_our_loader(
    pack, sd15, sd15_conds, pair, sample, folder, monkeypatch
):
    """Core saves tensors alone: what the gate says of itself is one of them."""
    from comfy_extras.nodes_train import SaveLoRA

    gate, _ = trained(pack, sd15.model, pair)
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(folder))
    SaveLoRA.execute(gate, "gate")
    (path,) = folder.glob("*.safetensors")
    again = part(pack, "nodes").KLoRALoadLora.execute(path.name).result[0]
    runs = [
        sample(compose(pack, sd15.model, both(pack, pair), by_gate(each)).model, *sd15_conds, steps=2)
        for each in (gate, again)
    ]
    assert torch.equal(*runs)


def test_a_dial_that_is_turned_and_turned_back_is_the_same_gate(pack, sd15, sd15_conds, pair, sample):
    loras = both(pack, pair)
    found = [
        sample(compose(pack, sd15.model, loras, method).model, *sd15_conds, steps=2)
        for method in ({"method": "Arrow", "sum": "N"}, {"method": "Arrow"}, {"method": "Arrow", "sum": "N"})
    ]
    assert torch.equal(found[0], found[2]) and relative(found[1], found[0]) > 1e-3


def test_other_loras_are_refused_by_name(pack, sd15, pair):
    gate, _ = trained(pack, sd15.model, pair)
    third = random_lora(sd15.model.model, UNET_LAYERS, 3, 77)
    named = part(pack, "nodes.loras").LoraStateDict(third, "cat.safetensors")
    for loras, said in (
        (
            [pair[0], named],
            r"^Use a.*, b.*, in this order, .*: gate.safetensors: cat.safetensors is none of the LoRAs",
        ),
        ([pair[1], pair[0]], "^Put the LoRAs in the order a.*, b.*: gate.safetensors: its training had"),
    ):
        with pytest.raises(ValueError, match=said):
            compose(pack, sd15.model, both(pack, loras), by_gate(gate))
    three = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0), (named, "style", 1.0))
    with pytest.raises(ValueError, match="cat.safetensors is none"):
        compose(pack, sd15.model, three, by_gate(gate))
    one = lora_set(pack, (pair[0], "subject", 1.0))
    with pytest.raises(ValueError, match="was trained on 2 LoRAs, 1 take part"):
        compose(pack, sd15.model, one, by_gate(gate))


def test_another_lora_may_work_beside(pack, sd15, sd15_conds, pair, sample):
    gate, e = trained(pack, sd15.model, pair)
    beside = random_lora(sd15.model.model, UNET_LAYERS[:4], 3, 77)
    three = lora_set(pack, (beside, "other", 0.5), (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    found = sample(compose(pack, sd15.model, three, by_gate(gate)).model, *sd15_conds, steps=2)
    two = compose(pack, sd15.model, both(pack, pair), by_gate(gate))
    assert relative(sample(two.model, *sd15_conds, steps=2), found) > 1e-3
    from tests.support.host.nodes import baked

    made = compose(pack, baked(sd15.model, beside, 0.5), both(pack, pair), by_gate(gate))
    assert relative(sample(made.model, *sd15_conds, steps=2), found) < 1e-4


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ({"method": "MoLE"}, "^Connect Train a Merge, .*: gate must be a trained gate, got nothing"),
        ({"method": "MoLE", "gate": 3}, "gate must be a LoRA, got 3"),
        ({"method": "Arrow", "pool": "word"}, "pool must be one of"),
        ({"method": "Arrow", "sum": "2"}, "sum must be one of"),
    ],
)
def test_what_is_no_gate_is_refused(pack, sd15, pair, method, said):
    with pytest.raises(ValueError, match=said):
        compose(pack, sd15.model, both(pack, pair), method)


def test_a_lora_in_the_place_of_a_gate_and_a_gate_in_that_of_a_lora(pack, sd15, pair):
    gate, _ = trained(pack, sd15.model, pair)
    with pytest.raises(ValueError, match=": gate: is no trained gate"):
        compose(pack, sd15.model, both(pack, pair), by_gate(pair[0]))
    with pytest.raises(
        ValueError, match="^Connect it to gate .*: gate.safetensors: is a trained gate and no LoRA"
    ):
        compose(pack, sd15.model, both(pack, [gate, pair[1]]), "LoRA Switch")


def chosen(pack, model, layers, seed=3):
    """An SMoRA LoRA, as it lies in its file."""
    generator, made = torch.Generator().manual_seed(seed), {}
    learned = part(pack, "klora_core.files.learned")
    for layer in layers:
        out, n = model.get_submodule(PREFIX + layer).weight.flatten(1).shape
        shapes = ((out, 6), (6, n), (6, n))
        up, down, router = (torch.randn(shape, generator=generator) / n**0.5 for shape in shapes)
        made[layer] = learned.RanksOf(up, down, router, torch.randn(6, generator=generator) * 0.1, 2, 3.0)
    return learned.rank_tensors(made), made


def test_chosen_ranks_in_the_sampler(pack, sd15, sd15_conds, sample, folder):
    layers = [layer for layer in UNET_LAYERS if "attn" in layer][:6]
    tensors, made = chosen(pack, sd15.model.model, layers)
    save_file(tensors, folder / "ranks.safetensors")
    lora = part(pack, "nodes").KLoRALoadLora.execute("ranks.safetensors").result[0]
    found = compose(pack, sd15.model, lora_set(pack, (lora, "subject", 0.7)), "LoRA Switch")
    assert "NOT applied" not in found.report and found.plan.loras[0].kind == "SMoRA"

    def hook(own):
        def after(module, args, output):
            x = args[0].double()
            s = torch.sigmoid(x @ own.router.T.double()) + own.bias
            best = s.topk(2, -1)
            g = torch.zeros_like(s).scatter(-1, best.indices, best.values / best.values.sum(-1, True) * 2)
            return output + 0.7 * 3 / 2 * ((x @ own.down.T.double() * g) @ own.up.T.double()).to(output.dtype)

        return after

    hooks = [
        sd15.model.model.get_submodule(PREFIX + n).register_forward_hook(hook(o)) for n, o in made.items()
    ]
    wanted = sample(sd15.model, *sd15_conds)
    for each in hooks:
        each.remove()
    assert relative(sample(sd15.model, *sd15_conds), wanted) > 1e-2
    assert relative(sample(found.model, *sd15_conds), wanted) < 1e-4


def test_chosen_ranks_are_no_matrix_to_score_or_merge(pack, sd15, pair):
    ranks = chosen(pack, sd15.model.model, UNET_LAYERS[:4])[0]
    for act in (
        lambda: fuse(pack, sd15.model, ranks, pair[1]),
        lambda: compose(
            pack, sd15.model, both(pack, [ranks, pair[1]]), {"method": "K-LoRA", "score": "energy"}
        ),
        lambda: compose(pack, sd15.model, both(pack, [ranks, pair[1]]), "Arrow"),
        lambda: merged(pack, sd15.model, both(pack, [ranks, pair[1]]), "Linear"),
    ):
        with pytest.raises(ValueError, match=r"subject LoRA: layer input_blocks\S+ is SMoRA"):
            act()
