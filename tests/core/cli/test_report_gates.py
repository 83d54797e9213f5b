"""``report`` of gates: what the picture will decide, for which LoRAs, and by which file."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from klora_core import files
from klora_core.cli import main
from klora_core.files.learned import (
    GateFile,
    LoraMark,
    RanksOf,
    SlotGate,
    content_of_file,
    rank_tensors,
    save_gate,
)
from klora_core.plan_file import from_json
from tests.support import loras

from .test_main import fails


@pytest.fixture
def pair(tmp_path):
    made = (
        loras.make(tmp_path / f"{name}.safetensors", loras.UNET, spelling, seed=seed)
        for seed, (name, spelling) in enumerate((("cat", "kohya-sgm"), ("ink", "peft")))
    )
    return [one.path for one in made]


@pytest.fixture
def gate(pair, tmp_path):
    """A gate of the pair in the first of its layers."""
    slot, delta = next(iter(files.read_all(pair)[0].slots.items()))
    marks = tuple(LoraMark(path.name, content_of_file(path)) for path in pair)
    slots = {slot.name: SlotGate(torch.zeros(2 * delta.shape[0], 2))}
    save_gate(tmp_path / "gate.safetensors", GateFile("", "MoLE", "picture", "N", marks, slots, "SDXL"))
    return tmp_path / "gate.safetensors"


def roles(pair):
    return ["--subject", str(pair[0]), "--style", str(pair[1])]


def test_a_gate_and_its_loras(pair, gate, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    assert (
        main(["report", *roles(pair), "--gate", str(gate), "--json", str(plan), "--plot", f"{plan}.png"]) == 0
    )
    said = capsys.readouterr().out
    assert said.startswith(
        "MoLE: how much of each LoRA works where is decided by the picture: a run shows it."
    )
    assert "gate file gate.safetensors: trained on SDXL" in said and "gated     1: layers" in said
    document = json.loads(plan.read_text(encoding="utf-8"))
    assert document["gate"]["file"] == "gate.safetensors" and from_json(document).method.name == "MoLE"
    assert main(["report", "--plan", str(plan)]) == 0
    assert capsys.readouterr().out == said


def test_arrow_needs_no_file(pair, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    arguments = ["--method", "Arrow", "--top", "1", "--pool", "picture", "--sum", "N"]
    assert main(["report", *roles(pair), *arguments, "--json", str(plan)]) == 0
    found = from_json(json.loads(plan.read_text(encoding="utf-8"))).method
    assert (found.top, found.pool, found.total) == (1, "picture", "N")
    assert "one a layer and picture: they sum to 2" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_in_one_line(pair, gate, tmp_path, capsys):
    other = loras.make(tmp_path / "oil.safetensors", loras.UNET, "peft", seed=9).path
    for arguments, said in (
        (
            [*roles([pair[0], other]), "--gate", gate],
            "gate.safetensors: oil.safetensors is none of the LoRAs",
        ),
        ([*roles(pair[::-1]), "--gate", gate], "Put the LoRAs in the order cat"),
        ([*roles(pair), "--gate", pair[0]], "cat.safetensors: is no trained gate"),
        ([*roles(pair), "--gate", tmp_path / "none"], "none: is not a file"),
        ([*roles(pair), "--method", "MoLE"], "MoLE needs a trained gate"),
        ([*roles([gate, pair[1]])], "gate.safetensors: is a trained gate and no LoRA"),
        (["--plan", tmp_path / "plan.json", "--gate", gate], "Leave out gate: --plan"),
        ([*roles(pair), "--gate", gate, "--json", gate], "it is one of the files that are read"),
    ):
        assert said in fails(capsys, "report", *map(str, arguments))


def test_a_torch_file_is_known_again(pair, gate, tmp_path, capsys):
    """A LoRA is its tensors, in whatever file."""
    from safetensors.torch import load_file

    tensors = load_file(pair[0])
    torch.save(tensors, tmp_path / "cat.pt")
    save_file(tensors, tmp_path / "renamed.safetensors", {"ss_training_comment": "x"})
    for name in ("cat.pt", "renamed.safetensors"):
        assert main(["report", *roles([tmp_path / name, pair[1]]), "--gate", str(gate)]) == 0


def test_a_folder_with_a_gate_and_a_lora_of_chosen_ranks(pair, gate, tmp_path, capsys):
    """Neither has a size to compare, and each has its line."""
    (slot, delta), *_ = files.read_all(pair)[0].slots.items()
    (out, n), generator = delta.shape, torch.Generator().manual_seed(0)
    factors = (torch.randn(shape, generator=generator) for shape in ((out, 4), (4, n), (4, n), (4,)))
    save_file(rank_tensors({slot.name: RanksOf(*factors, 2)}), tmp_path / "ranks.safetensors")
    assert main(["report", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "gate.safetensors: is a trained gate and no LoRA" in told
    assert f"ranks.safetensors: layer {slot.name} is SMoRA, which works by what the picture is" in told
    assert "cat" in told and "ink" in told
