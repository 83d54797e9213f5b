"""The command ``merge``: fused weights, names that no network has, and what a header keeps."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from klora_core import files
from klora_core.errors import KLoraError

from .test_merge import close, run


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
        assert str(caught.value).startswith(f"{caught.value.do}: odd.safetensors: ") and caught.value.do
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
