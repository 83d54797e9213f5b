"""What the loaders tell of a file: trigger words and base model, as outputs and to the page."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import folder_paths
import pytest
import torch
from safetensors.torch import save_file

from tests.support.headers import KEYS, TEXTS, hostile
from tests.support.host.nodes import part
from tools import tiny
from tools.tiny import models


def sdxl(rank=4):
    """One attention layer of SDXL in kohya's names, which its smaller kin has not."""
    layer = "lora_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k"
    return {
        f"{layer}.lora_down.weight": torch.ones(rank, 2048),
        f"{layer}.lora_up.weight": torch.ones(1280, rank),
    }


def flux():
    layer = "transformer.transformer_blocks.12.attn.to_q"
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


@pytest.mark.parametrize("part_", ["oft_R.weight", "oft_diag", "reshape_weight"])
def test_a_kind_that_cant_be_used_is_loaded_and_refused_where_it_would_act(pack, folder, part_):
    odd = {f"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_q.{part_}": torch.ones(4, 2, 2)}
    for tensors, base in ((odd, ""), ({**sdxl(), **odd}, "SDXL")):
        save_file(tensors, folder / "odd.safetensors")
        lora, words, told = part(pack, "nodes").KLoRALoadLora.execute("odd.safetensors").result
        assert len(lora) == len(tensors) and (words, told) == ("", base)
        assert part(pack, "nodes.loras.info").beside("odd.safetensors", "", "")["base_model"] == base


def test_the_page_is_told_of_the_folders_own_kinds_of_files_alone(pack, folder, monkeypatch):
    info = part(pack, "nodes.loras.info")
    for name in (
        "notes.txt",
        "cat.safetensors.bak",
        "cat",
        ".safetensors",
        "cat.safetensors.txt",
        "CAT.SAFETENSORS",
    ):
        save_file(sdxl(), folder / name)
        told = info.beside(name, "", "")
        assert (told is None) == (name != "CAT.SAFETENSORS"), name
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "checkpoints", ([str(folder)], {".ckpt"}))
    assert info.beside("cat.safetensors", "checkpoints", "ink.safetensors")["model"] == ""


def test_a_whole_path_in_a_loras_folder_is_that_file(pack, folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("more")
    (other / "sub").mkdir()
    save_file(flux(), other / "sub" / "cat.safetensors")
    roots = ([str(folder), str(other)], {".safetensors"})
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", roots)
    execute = part(pack, "nodes").KLoRASet.execute
    paths = [
        folder / "cat.safetensors",
        other / "sub" / "cat.safetensors",
        other / "sub" / ".." / "sub" / "cat.safetensors",
    ]
    found = execute(1.0, "subject", lora_stack=[(str(path), 1.0, 1.0) for path in paths]).result[0]
    assert [member.name for member in found] == ["cat.safetensors", *["sub/cat.safetensors"] * 2]
    assert [len(member.tensors) for member in found] == [2, 4, 4]


@pytest.mark.parametrize("whole", [True, False])
def test_a_lora_that_only_lora_manager_knows_says_what_to_do(pack, folder, tmp_path_factory, whole):
    """Its stacks hold names relative to its own extra folders, or whole paths."""
    extra = tmp_path_factory.mktemp("extra")
    save_file(sdxl(), extra / "dog.safetensors")
    name = str(extra / "dog.safetensors") if whole else "dog.safetensors"
    execute = part(pack, "nodes").KLoRASet.execute
    with pytest.raises(ValueError, match="not in the loras folder") as caught:
        execute(1.0, "subject", lora_stack=[(name, 1.0, 1.0)])
    for words in ("dog.safetensors", "LoRA Manager", "extra_model_paths.yaml", "restart"):
        assert words in str(caught.value)
    for path in (
        f"{folder}/../{extra.name}/dog.safetensors",
        f"{folder}/cat.safetensors/../../x",
        str(folder),
    ):
        with pytest.raises(ValueError, match="not in the loras folder"):
            execute(1.0, "subject", lora_stack=[(path, 1.0, 1.0)])


def test_a_pair(pack, folder):
    load = part(pack, "nodes").KLoRALoadPair.execute
    assert load("cat.safetensors", "ink.safetensors").result[2:] == (
        *("ohwx cat", "inkwash"),
        "SDXL / FLUX or Chroma or HunyuanVideo",
    )
    assert load("cat.safetensors", "bare.safetensors").result[2:] == ("ohwx cat", "", "SDXL")


def test_what_the_page_is_told_is_what_the_outputs_say(pack, folder):
    info = part(pack, "nodes.loras.info")
    for name in ("cat.safetensors", "ink.safetensors", "bare.safetensors"):
        _, words, base = part(pack, "nodes").KLoRALoadLora.execute(name).result
        assert info.beside(name, "", "") == {"trigger_words": words, "base_model": base}
    assert info.beside("cut.safetensors", "", "") == {"trigger_words": "", "base_model": ""}
    assert info.beside("gone.safetensors", "", "") is None
    assert info.beside("../../etc/passwd", "", "") is None


@pytest.mark.parametrize("text", TEXTS)
def test_a_header_that_says_nothing_is_no_fault_of_the_lora(pack, folder, text):
    info, load = part(pack, "nodes.loras.info"), part(pack, "nodes").KLoRALoadLora.execute
    for key in KEYS:
        save_file(sdxl(), folder / "odd.safetensors", metadata=hostile(key, text))
        lora, words, base = load("odd.safetensors").result
        assert len(lora) == 2 and base == "SDXL" and words.isprintable()
        assert info.beside("odd.safetensors", "", "") == {"trigger_words": words, "base_model": base}


def test_a_header_is_read_once_until_its_file_changes(pack, folder, monkeypatch):
    info, read = part(pack, "nodes.loras.info"), []
    inner = info.read_header
    monkeypatch.setattr(info, "read_header", lambda path: read.append(path) or inner(path))
    path = folder / "cat.safetensors"

    def ask(_=None):
        return info.beside("cat.safetensors", "", "")

    with ThreadPoolExecutor(8) as pool:
        assert set(map(str, pool.map(ask, range(48)))) == {str(ask())}
    assert len(read) == 1
    save_file(sdxl(), path, metadata={"modelspec.trigger_phrase": "another"})
    assert ask()["trigger_words"] == "another" and len(read) == 2
    path.unlink()
    assert ask() is None


def test_whether_a_lora_fits_a_model_that_is_not_loaded(pack, folder, monkeypatch):
    info = part(pack, "nodes.loras.info")
    models.ensure("sd15", "sdxl", "flux")
    for where in ("checkpoints", "diffusion_models"):
        places = [str(tiny.MODELS_DIR / where)]
        monkeypatch.setitem(folder_paths.folder_names_and_paths, where, (places, {".safetensors"}))
    for model in ("tiny-sd15.safetensors", "tiny-sdxl.safetensors"):
        told = info.beside("bare.safetensors", "checkpoints", model)
        name = "SDXL" if "xl" in model else "SD1.5"
        assert told == {**info.beside("bare.safetensors", "", ""), "model": name, "fits": name == "SDXL"}
    assert info.beside("ink.safetensors", "diffusion_models", "tiny-flux.safetensors")["fits"]
    # Nothing is said where nothing is known: no such file, a folder that holds no models, no base.
    for where, model in (("checkpoints", "gone.safetensors"), ("loras", "cat.safetensors")):
        assert info.beside("cat.safetensors", where, model)["model"] == ""
        assert "fits" not in info.beside("cat.safetensors", where, model)
    assert "fits" not in info.beside("cut.safetensors", "checkpoints", "tiny-sd15.safetensors")
