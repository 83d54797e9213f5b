"""What the loaders tell of a file: trigger words and base model, as outputs and to the page."""

from __future__ import annotations

import json

import folder_paths
import pytest
import torch
from safetensors.torch import save_file
from support import part


def sdxl(rank=4):
    """One attention layer of SDXL in kohya's names."""
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    return {
        f"{layer}.lora_down.weight": torch.ones(rank, 2048),
        f"{layer}.lora_up.weight": torch.ones(640, rank),
    }


def flux():
    layer = "transformer.transformer_blocks.0.attn.to_q"
    return {f"{layer}.lora_A.weight": torch.ones(2, 3072), f"{layer}.lora_B.weight": torch.ones(3072, 2)} | {
        f"transformer.single_transformer_blocks.0.attn.to_q.lora_{end}.weight": torch.ones(*size)
        for end, size in (("A", (2, 3072)), ("B", (3072, 2)))
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    tags = {"ss_tag_frequency": json.dumps({"10_cat": {"ohwx cat": 20, "sitting": 3}})}
    save_file(sdxl(), tmp_path / "cat.safetensors", metadata=tags)
    save_file(flux(), tmp_path / "ink.safetensors", metadata={"modelspec.trigger_phrase": "inkwash"})
    save_file(sdxl(), tmp_path / "bare.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    return tmp_path


def test_one_file(pack, folder):
    load = part(pack, "nodes").KLoRALoadLora.execute
    lora, words, base = load("cat.safetensors").result
    assert len(lora) == 2 and (words, base) == ("ohwx cat", "SDXL")
    assert load("bare.safetensors").result[1:] == ("", "SDXL")


def test_a_pair(pack, folder):
    load = part(pack, "nodes").KLoRALoadPair.execute
    assert load("cat.safetensors", "ink.safetensors").result[2:] == (
        *("ohwx cat", "inkwash"),
        "SDXL / FLUX or Chroma",
    )
    assert load("cat.safetensors", "bare.safetensors").result[2:] == ("ohwx cat", "", "SDXL")


def test_what_the_page_is_told_is_what_the_outputs_say(pack, folder):
    info = part(pack, "nodes.lora_info")
    for name in ("cat.safetensors", "ink.safetensors", "bare.safetensors"):
        _, words, base = part(pack, "nodes").KLoRALoadLora.execute(name).result
        assert info.of_file(name) == {"trigger_words": words, "base_model": base}
    assert info.of_file("cut.safetensors") == {"trigger_words": "", "base_model": ""}
    assert info.of_file("gone.safetensors") is None and info.of_file("../../etc/passwd") is None
