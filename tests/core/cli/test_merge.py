"""The command ``merge``: files in, one ordinary file out, one line for anything bad."""

from __future__ import annotations

import argparse
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.cli import merge as cli_merge
from klora_core.errors import KLoraError
from tests.support import loras
from tests.support.merging import dense


def run(*arguments):
    parser = argparse.ArgumentParser(prog="klora")
    cli_merge.add_parser(parser.add_subparsers(dest="command", required=True))
    return cli_merge.run(parser.parse_args(["merge", *map(str, arguments)]))


def close(a, b, tolerance=1e-5):
    return float((a - b).norm()) <= tolerance * float(b.norm())


def test_two_spellings_to_one_file(unet, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert run(*unet, "--weights", 1, 0.6, "--dtype", "fp32", "-o", out) == 0
    cat, ink = files.read_all([*unet])
    back = files.read(out)
    assert back.slots.keys() == cat.slots.keys()
    for slot, delta in back.slots.items():
        want = dense(cat.slots[slot]) + (0.6 * dense(ink.slots[slot]) if slot in ink.slots else 0)
        assert close(dense(delta), want), slot
    shown = capsys.readouterr().out
    assert "out.safetensors: 1 x cat.safetensors + 0.6 x ink.safetensors" in shown
    assert "30 layers of rank" in shown


def test_convolutions_have_their_kernels(unet, tmp_path):
    out = tmp_path / "out.safetensors"
    run(*unet, "--method", "np-lora", "-o", out)
    stored = load_file(out)
    for weight in ("input_blocks_3_0_op", "input_blocks_1_0_in_layers_2", "output_blocks_2_2_conv"):
        assert stored[f"lora_unet_{weight}.lora_down.weight"].shape[1:] == (12, 3, 3), weight
        assert stored[f"lora_unet_{weight}.lora_up.weight"].shape[2:] == (1, 1)


def test_files_that_torch_saved_are_merged_as_others_are(unet, tmp_path):
    torch_files = [tmp_path / f"{i}.bin" for i in range(2)]
    for path, own in zip(unet, torch_files, strict=True):
        torch.save(load_file(path), own)
    for name, paths in (("one", unet), ("other", torch_files)):
        run(*paths, "--method", "np-lora", "-o", tmp_path / f"{name}.safetensors")
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "other"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_fused_and_split(tmp_path, order):
    """FLUX, one LoRA with fused weights, one split: the file has the fused weights, exactly the sum."""
    fused = loras.make(tmp_path / "fused.safetensors", loras.FLUX_FUSED, "kohya-sgm", seed=1)
    split = loras.make(tmp_path / "split.safetensors", loras.FLUX_SPLIT, "transformer", seed=2)
    paths = [(fused.path, split.path)[i] for i in order]
    out = tmp_path / "out.safetensors"
    run(*paths, "--dtype", "fp32", "-o", out)
    back, a, b = files.read(out), files.read(fused.path), files.read(split.path)
    assert all(slot.rows is None for slot in back.slots)
    for slot, delta in back.slots.items():
        want = dense(a.slots[slot]).clone()
        for piece, change in b.slots.items():
            if piece.weight == slot.weight:
                start, length = piece.rows or (0, change.shape[0])
                want[start : start + length] += dense(change)
        assert close(dense(delta), want), slot


def test_three_loras_with_parameters_and_roles(unet, tmp_path):
    third = loras.make(tmp_path / "oil.safetensors", loras.UNET[:9], "ai-toolkit", seed=3)
    out = tmp_path / "out.safetensors"
    run(
        *unet, third.path, "--method", "ties", "--density", 0.4, "--scope", "layer", "--rank", 6,
        "--weights", 1, 1, 0.5, "--roles", "subject", "style", "other", "-o", out,
    )  # fmt: skip
    with safe_open(out, "pt") as file:
        header = json.loads(file.metadata()["klora_merge"])
    assert header["parameters"] == {"density": 0.4, "scope": "layer"}
    assert [entry["role"] for entry in header["loras"]] == ["subject", "style", "other"]
    assert {delta.rank for delta in files.read(out).slots.values()} == {6}


def test_what_is_left_out_is_said(unet, tmp_path, capsys):
    tensors = load_file(unet[0])
    tensors["lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = torch.ones(4, 2)
    tensors["lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = torch.ones(2, 4)
    tensors["strange"] = torch.ones(1)
    save_file(tensors, tmp_path / "both.safetensors")
    run(tmp_path / "both.safetensors", unet[1], "-o", tmp_path / "out.safetensors")
    shown = capsys.readouterr().out
    assert "both.safetensors: 1 text-encoder layer, NOT merged: only the diffusion model's" in shown
    assert (
        ": lora_te1" in shown and "both.safetensors: 1 tensor, NOT merged: not understood: strange" in shown
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--weights", 1], "1 weights for 2 LoRAs"),
        (["--roles", "style"], "1 roles for 2 LoRAs"),
        (["--rank", 0], "rank must be at least 1"),
        (["--mu", 1], "Linear has no parameter mu"),
        (["--method", "ties", "--density", 2], "density must be at most 1"),
        (["--weights", 0, 0], "every LoRA has strength 0"),
    ],
)
def test_bad_options(unet, tmp_path, extra, message):
    out = tmp_path / "out.safetensors"
    with pytest.raises(KLoraError, match=message):
        run(*unet, *extra, "-o", out)
    assert not out.exists()


def test_bad_files(unet, tmp_path):
    out = tmp_path / "out.safetensors"
    with pytest.raises(KLoraError, match="two LoRAs or more"):
        run(unet[0], "-o", out)
    with pytest.raises(KLoraError, match=r"gone\.safetensors: there is no such file"):
        run(unet[0], "gone.safetensors", "-o", out)
    with pytest.raises(KLoraError, match="ends in .safetensors"):
        run(*unet, "-o", tmp_path / "out.pt")
    flux = loras.make(tmp_path / "flux.safetensors", loras.FLUX_SPLIT, "transformer")
    with pytest.raises(KLoraError, match=r"cat\.safetensors shares no layer with the other LoRAs"):
        run(unet[0], flux.path, "-o", out)


def test_parts_of_one_model_need_not_overlap(tmp_path):
    """As B-LoRAs do: one changes one block of the up stage, one another."""
    layers = [layer for layer in loras.UNET if layer.weight.startswith("output_blocks")]
    halves = (layers[:4], layers[4:])
    paths = [
        loras.make(tmp_path / f"{i}.safetensors", half, "kohya-sgm").path for i, half in enumerate(halves)
    ]
    run(*paths, "-o", tmp_path / "out.safetensors")
    assert len(files.read(tmp_path / "out.safetensors").slots) == len(layers)


def test_another_size_is_another_base_model(unet, tmp_path):
    wide = {key: torch.cat((t, t)) if "lora_up" in key else t for key, t in load_file(unet[0]).items()}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(KLoraError, match=r"is (\d+) x \d+ in wide\.safetensors and \d+ x \d+ in ink"):
        run(tmp_path / "wide.safetensors", unet[1], "-o", tmp_path / "out.safetensors")
