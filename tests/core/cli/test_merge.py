"""The command ``merge``: files in, one ordinary file out, one line for anything bad."""

from __future__ import annotations

import argparse
import errno
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.cli import merge as cli_merge
from klora_core.errors import KLoraError
from klora_core.merges import saving
from tests.support import loras
from tests.support.merging import dense


def run(*arguments):
    parser = argparse.ArgumentParser(prog="klora")
    cli_merge.add_parser(parser.add_subparsers(dest="command", required=True))
    return cli_merge.run(parser.parse_args(["merge", *map(str, arguments)]))


@pytest.fixture
def unet(tmp_path):
    """Two SDXL LoRAs, one kohya, one PEFT without the last two layers, with convolutions and an alpha."""
    cat = loras.make(tmp_path / "cat.safetensors", loras.UNET, "kohya-diffusers", seed=1, alpha=2)
    ink = loras.make(tmp_path / "ink.safetensors", loras.UNET[:-2], "peft", seed=2, ranks=(4, 3))
    return cat.path, ink.path


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


def lora(rng, out, n, rank=1):
    """(down, up) of random factors."""
    return torch.randn(rank, n, generator=rng), torch.randn(out, rank, generator=rng)


def write(path, modules, seed=1, metadata=None):
    """A file of LoRAs of rank 1 by module and shape, in PEFT's spelling; the factors by module."""
    rng, tensors, changes = torch.Generator().manual_seed(seed), {}, {}
    for module, (out, n) in modules.items():
        down, up = lora(rng, out, n)
        tensors[f"{module}.lora_A.weight"], tensors[f"{module}.lora_B.weight"] = down, up
        changes[module] = up, down
    save_file(tensors, path, metadata)
    return changes


def two(tmp_path, modules, **options):
    """Two such files, and what they do to some inputs together, by module."""
    paths = [tmp_path / f"{i}.safetensors" for i in (1, 2)]
    made = [write(path, modules, i, **options) for i, path in enumerate(paths)]
    sums = {
        m: sum(up @ (down @ inputs(down.shape[1])) for up, down in (one[m] for one in made)) for m in modules
    }
    return paths, sums


def inputs(n):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(7))


def outputs_of(stored, module):
    up, down = (stored[f"{module}.lora_{part}.weight"] for part in ("up", "down"))
    return up @ (down @ inputs(down.shape[1]))


@pytest.mark.parametrize("parts", ["qkv", "q", "k", "v", "kv", "qv"])
@pytest.mark.parametrize(("width", "keys"), [(2304, 768), (3840, 3840)])
def test_grouped_queries(tmp_path, width, keys, parts):
    """Lumina 2's keys are a third of its queries, Z-Image's as many: whichever parts the LoRAs change."""
    rows = {"q": (0, width), "k": (width, keys), "v": (width + keys, keys)}
    attention = "attn" if width == 2304 else "attention"
    modules = {f"transformer.layers.3.{attention}.to_{part}": (rows[part][1], width) for part in parts}
    paths, sums = two(tmp_path, modules)
    run(*paths, "--dtype", "fp32", "-o", tmp_path / "out.safetensors")
    stored = load_file(tmp_path / "out.safetensors")
    found = outputs_of(stored, "lora_unet_layers_3_attention_qkv")
    want = torch.zeros(width + 2 * keys, 3)
    for part in parts:
        start, length = rows[part]
        want[start : start + length] = sums[f"transformer.layers.3.{attention}.to_{part}"]
    assert found.shape == want.shape and close(found, want)


@pytest.mark.parametrize(
    ("module", "shape", "weight", "first", "height"),
    [
        (
            "transformer.transformer_blocks.3.attn2.to_k",
            (1152, 1152),
            "blocks.3.cross_attn.kv_linear",
            0,
            2304,
        ),
        ("transformer.transformer_blocks.3.attn1.to_q", (1152, 1152), "blocks.3.attn.qkv", 0, 3456),
        (
            "transformer.transformer_blocks.3.attn.add_k_proj",
            (1536, 1536),
            *("joint_blocks.3.context_block.attn.qkv", 1536, 4608),
        ),
    ],
)
def test_a_part_of_a_fused_weight_alone(tmp_path, module, shape, weight, first, height):
    paths, sums = two(tmp_path, {module: shape})
    run(*paths, "--dtype", "fp32", "-o", tmp_path / "out.safetensors")
    name = f"lora_unet_{weight.replace('.', '_')}"
    found = outputs_of(load_file(tmp_path / "out.safetensors"), name)
    assert found.shape[0] == height and close(found[first : first + shape[0]], sums[module])
    assert not found[:first].any() and not found[first + shape[0] :].any()


def test_what_may_be_flux_or_another_keeps_the_name_that_both_have(tmp_path):
    """Attention of FLUX's double blocks alone, in diffusers' names: Qwen-Image calls its own alike."""
    names = ("to_q", "to_k", "to_v", "add_q_proj", "to_out.0")
    modules = {
        f"transformer.transformer_blocks.{i}.attn.{name}": (3072, 3072) for i in range(2) for name in names
    }
    paths, sums = two(tmp_path, modules)
    run(*paths, "--dtype", "fp32", "-o", tmp_path / "out.safetensors")
    stored = load_file(tmp_path / "out.safetensors")
    assert {key.partition(".lora_")[0].removesuffix(".alpha") for key in stored} == set(modules)
    assert all(close(outputs_of(stored, module), want) for module, want in sums.items())


@pytest.mark.parametrize(
    "name",
    [
        "foo.bar.3.lin",
        "my_net.blocks.0.attn",
        "layers.3.self_attn.q_proj",
        "encoder.mid.conv",
        "lora_unet_foo_bar",
    ],
)
def test_layers_of_no_known_network_are_refused_by_name(unet, tmp_path, name):
    """Alone, and among others that are known; nothing is written."""
    odd, out = tmp_path / "odd.safetensors", tmp_path / "out.safetensors"
    tensors = load_file(unet[0])
    shown = files.from_tensors(
        "x", {f"{name}.lora_A.weight": torch.ones(1, 4), f"{name}.lora_B.weight": torch.ones(4, 1)}
    )
    for beside in ({}, tensors):
        save_file(
            {**beside, f"{name}.lora_A.weight": torch.ones(1, 4), f"{name}.lora_B.weight": torch.ones(4, 1)},
            odd,
        )
        with pytest.raises(KLoraError) as caught:
            run(odd, odd if not beside else unet[1], "-o", out)
        assert str(caught.value).startswith("odd.safetensors: ")
        assert next(iter(shown.modules)) in str(caught.value)
    assert not out.exists()


def test_trigger_words_and_base_model_are_kept(tmp_path):
    modules = {"diffusion_model.double_blocks.0.img_attn.proj": (16, 16)}
    heads = (
        {"modelspec.trigger_phrase": "ohwx cat", "ss_base_model_version": "flux1"},
        {"modelspec.trigger_phrase": "ink style", "modelspec.architecture": "flux-1-dev/lora"},
        {"modelspec.trigger_phrase": "silent"},
    )
    paths = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, head in zip(paths, heads, strict=True):
        write(path, modules, metadata=head)
    run(*paths, "--weights", 1, 0.5, 0, "-o", tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        header = file.metadata()
    assert files.trigger_words(header) == "ohwx cat, ink style"
    assert header["ss_base_model_version"] == "flux1"
    assert header["modelspec.architecture"] == "flux-1-dev/lora"
    back, sources = files.read(tmp_path / "out.safetensors"), files.read_all(paths[:2])
    assert all(back.base_model.fits(source.base_model) for source in sources)


def test_a_base_model_that_only_settings_tell_is_kept(tmp_path):
    """PEFT's settings say how a LoRA is scaled too: they are not the merged one's."""
    settings = json.dumps(
        {"transformer.base_model_name_or_path": "Tongyi/Z-Image", "transformer.lora_alpha": 4}
    )
    paths, _ = two(
        tmp_path,
        {"transformer.layers.0.attention.to_k": (16, 16)},
        metadata={"lora_adapter_metadata": settings},
    )
    run(*paths, "-o", tmp_path / "out.safetensors")
    back = files.read(tmp_path / "out.safetensors")
    assert str(back.base_model) == "Z-Image" and "lora_adapter_metadata" not in back.metadata


@pytest.mark.parametrize("kind", ["same", "relative", "symbolic", "hard"])
def test_an_output_that_is_an_input(unet, tmp_path, monkeypatch, kind):
    cat, before = unet[0], unet[0].read_bytes()
    monkeypatch.chdir(tmp_path)
    out = {"same": cat, "relative": "./cat.safetensors"}.get(kind, tmp_path / "link.safetensors")
    if kind == "symbolic":
        out.symlink_to(cat)
    elif kind == "hard":
        out.hardlink_to(cat)
    for order in (unet, unet[::-1]):
        with pytest.raises(KLoraError, match="is one of the files that are read"):
            run(*order, "-o", out)
    assert cat.read_bytes() == before


def test_a_failure_to_write_leaves_the_older_file(unet, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    out.write_text("old")
    there = sorted(tmp_path.iterdir())

    def full(tensors, path, header):
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saving, "save_file", full)
    with pytest.raises(KLoraError, match=r"can't write .*out\.safetensors: No space left .* disk is full"):
        run(*unet, "-o", out)
    assert out.read_text() == "old" and sorted(tmp_path.iterdir()) == there


def test_what_is_not_stored_as_it_is_takes_no_place(unet, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    out.write_text("old")
    first = {"lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight"}
    for spoil in (
        lambda tensors: {key: t * (2 if key in first else 1) for key, t in tensors.items()},
        lambda tensors: {key: t for key, t in tensors.items() if key not in first},
    ):
        monkeypatch.setattr(
            saving,
            "save_file",
            lambda tensors, path, header, spoil=spoil: save_file(spoil(tensors), path, header),
        )
        with pytest.raises(KLoraError, match="was not stored as it is"):
            run(*unet, "-o", out)
        assert out.read_text() == "old"


def test_a_folder_with_a_name_that_is_no_utf8(unet, tmp_path):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    run(*unet, "-o", folder / "out.safetensors")
    assert files.read(folder / "out.safetensors").slots and len(list(folder.iterdir())) == 1
