"""Files of published training methods at the command line: read, fused with another LoRA, merged."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.cli import main
from klora_core.errors import KLoraError
from klora_core.files import reading
from tests.support import loras
from tests.support.published import KINDS, beamlora, unziplora, ziplora

pytestmark = pytest.mark.slow

SHAPES = {layer.diffusers: layer.shape for layer in loras.UNET if len(layer.shape) == 2}
WEIGHTS = {layer.diffusers: layer.weight for layer in loras.UNET}


def close(found, wanted, tolerance=1e-5):
    return float((found.double() - wanted).norm()) <= tolerance * float(wanted.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_file_is_read_as_its_method_defines_it(kind, tmp_path):
    made = KINDS[kind](SHAPES, 3)
    save_file(made.tensors, tmp_path / f"{kind}.safetensors")
    found = files.read(tmp_path / f"{kind}.safetensors")
    assert not found.left and found.applied == set(made.tensors)
    by_weight = {slot.weight: delta for slot, delta in found.slots.items()}
    assert set(by_weight) == {WEIGHTS[name] for name in SHAPES}
    for name, wanted in made.dense.items():
        assert close(by_weight[WEIGHTS[name]].dense(), wanted), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_file_is_fused_with_another(kind, tmp_path, capsys):
    """The report's L1 sums of each slot are those of the method's own dense change."""
    made = KINDS[kind](SHAPES, 3)
    style = loras.make(tmp_path / "ink.safetensors", loras.UNET, "kohya-diffusers", seed=2)
    save_file(made.tensors, tmp_path / f"{kind}.safetensors")
    out = tmp_path / "plan.json"
    assert main(["report", str(tmp_path / f"{kind}.safetensors"), str(style.path), "--json", str(out)]) == 0
    assert capsys.readouterr().err == ""
    slots = {slot["name"]: slot for slot in json.loads(out.read_text())["slots"]}
    assert len(slots) == len(SHAPES)
    for name, wanted in made.dense.items():
        assert slots[WEIGHTS[name]]["l1_subject"] == pytest.approx(float(wanted.abs().sum()), rel=1e-4)


def test_a_dense_result_merges_to_an_ordinary_file(tmp_path):
    """ZipLoRA and another LoRA by SVD at a rank that holds both: their sum, in kohya's names."""
    made = ziplora(SHAPES, 3)
    other = unziplora(SHAPES, 4)
    for name, one in (("zip", made), ("other", other)):
        save_file(one.tensors, tmp_path / f"{name}.safetensors")
    out = tmp_path / "out.safetensors"
    pair = [str(tmp_path / f"{name}.safetensors") for name in ("zip", "other")]
    assert main(["merge", *pair, "--method", "svd", "--rank", "11", "--dtype", "fp32", "-o", str(out)]) == 0
    stored = load_file(out)
    assert {key.rpartition(".lora_")[2] for key in stored if ".lora_" in key} == {"up.weight", "down.weight"}
    for slot, delta in files.read(out).slots.items():
        name = next(n for n in SHAPES if WEIGHTS[n] == slot.weight)
        assert delta.rank <= 11
        assert close(delta.dense(), made.dense[name] + other.dense[name], 1e-4), slot


def test_a_gate_without_its_factors_or_of_another_rank_is_refused():
    module = "base_model.model.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    made = beamlora({module.removeprefix("base_model.model."): (4, 6)}, 1).tensors
    with pytest.raises(KLoraError, match="has no up and no down|but no up and no down"):
        reading.read_tensors({f"{module}.lora_gate": made[f"{module}.lora_gate"]})
    with pytest.raises(KLoraError, match=r"has 3 gates for an up of \(4, 4\)"):
        reading.read_tensors({**made, f"{module}.lora_gate": torch.zeros(1, 3)})
    (plain,) = reading.read_tensors({**made, f"{module}.lora_gate": torch.zeros(1, 4)}).modules
    assert torch.equal(plain.change.parts["up"], made[f"{module}.lora_B.weight"]), "even gates are no gates"
