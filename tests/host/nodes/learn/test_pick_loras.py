"""Pick LoRAs by Prompt: in a real loras folder, with the host's own text encoder, over restarts."""

from __future__ import annotations

import json
import os
import time

import comfy.model_management
import folder_paths
import pytest
import torch
from safetensors.torch import save, save_file

from tests.support.host.nodes import compose, part, unet_pair


def sdxl():
    layer = "lora_unet_input_blocks_7_1_transformer_blocks_9_attn2_to_k"
    return {
        f"{layer}.lora_down.weight": torch.ones(2, 2048),
        f"{layer}.lora_up.weight": torch.ones(1280, 2),
    }


def says(*captions, **more):
    return {"ss_tag_frequency": json.dumps({"10_x": dict.fromkeys(captions, 5)}), **more}


@pytest.fixture
def folder(pack, tmp_path, monkeypatch, sd15):
    suffixes = {".safetensors", ".pt"}
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], suffixes))
    library = part(pack, "nodes.learn.library")
    library.TEXTS.forget()
    library.VECTORS.forget()
    tensors = unet_pair(sd15.model.model)

    def write(name, which=0, /, **metadata):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        save_file(sdxl() if which is None else tensors[which], path, metadata=metadata or None)
        os.utime(path, ns=(10**18, 10**18))
        return path

    write.root, write.library = tmp_path, library
    sd = {"ss_base_model_version": "sd_v1"}
    write("characters/cat.safetensors", **says("ohwx cat", "sitting"), **sd)
    write("characters/dog.safetensors", **says("sks dog"), **sd)
    write("styles/ink.safetensors", 1, **{"modelspec.trigger_phrase": "inkwash"}, **sd)
    write("styles/oil.safetensors", 1, **says("thick oil paint"), **sd)
    write("big.safetensors", None, **says("ohwx cat"))
    return write


@pytest.fixture
def pick(pack, folder):
    node = part(pack, "nodes").KLoRAPickLoras

    def pick(prompt, **options):
        return node.execute(prompt=prompt, **options).result

    return pick


def chosen(members):
    return [(m.name.replace(os.sep, "/"), m.role, m.strength) for m in members]


CAT, INK = ("characters/cat.safetensors", "subject", 1.0), ("styles/ink.safetensors", "style", 1.0)


def test_trigger_words_pick_and_the_set_composes(pack, pick, sd15):
    members, report = pick("an OHWX cat, inkwash", model=sd15.model)
    assert chosen(members) == [CAT, INK]
    assert "trigger words in the prompt (ohwx cat); subject by its folder characters." in report
    assert "Left out, made for SDXL, the model is SD1.5: big.safetensors." in report
    assert "2 of 4 LoRAs picked" in report
    assert "ink" in compose(pack, sd15.model, members, {"method": "LoRA Switch"}).report


def test_without_a_model_no_base_counts(pick):
    members, report = pick("ohwx cat", subjects=2, styles=0)
    assert chosen(members) == [("big.safetensors", "subject", 0.5), (*CAT[:2], 0.5)]
    assert "its role is not known" in report and "Left out, of no role" in report


def test_strength_is_shared(pick):
    members, _ = pick("ohwx cat, sks dog, inkwash", subjects=2, strength=0.8)
    assert [m.strength for m in members] == [0.4, 0.4, 0.8]


def test_folder_and_filters_of_roles(pick):
    assert chosen(pick("ohwx cat inkwash", folder="styles", subjects=0)[0]) == [INK]
    members, report = pick("ohwx cat inkwash", subject_files="styles/*", styles=0)
    assert chosen(members) == [("styles/ink.safetensors", "subject", 1.0)]
    assert "subject by your filter" in report
    assert chosen(pick("inkwash", others=1, other_files="ink", subjects=0, styles=0)[0])[0][1] == "other"


def direction(clip, text):
    pooled = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)[1][0].double()
    return pooled / pooled.norm()


def test_by_meaning_with_the_models_own_text_encoder(pick, sd15):
    prompt = "an animal drawn with a brush"
    members, report = pick(prompt, clip=sd15.clip, model=sd15.model, subjects=4, styles=4)
    to = direction(sd15.clip, prompt)
    texts = {"cat": "ohwx cat, sitting", "dog": "sks dog", "ink": "inkwash", "oil": "thick oil paint"}
    told = {name: float(direction(sd15.clip, text) @ to) for name, text in texts.items()}
    for name, cosine in told.items():
        (line,) = [line for line in report.splitlines() if f"{name}.safetensors: cosine" in line]
        assert float(line.partition("cosine ")[2].partition(";")[0]) == pytest.approx(cosine, abs=2e-3)
    order = [m.name.rpartition("/")[2].partition(".")[0] for m in members if m.role == "subject"]
    assert order == sorted(("cat", "dog"), key=lambda name: -told[name])


def test_several_captions_are_their_mean(folder, pick, sd15):
    sentences = ("a small bird sits on a wire", "two birds fly over the sea")
    once = {"ss_tag_frequency": json.dumps({"1_bird": dict.fromkeys(sentences, 1)})}
    folder("characters/bird.safetensors", **once)
    _, report = pick("sea", clip=sd15.clip, folder="bird", styles=0)
    mean = sum(direction(sd15.clip, text) for text in sentences)
    told = float(mean / mean.norm() @ direction(sd15.clip, "sea"))
    assert float(report.partition("cosine ")[2].partition(";")[0]) == pytest.approx(told, abs=2e-3)


def test_trigger_words_lead_over_meaning(pick, sd15):
    for word, name in (("ohwx cat", "cat"), ("sks dog", "dog")):
        members, _ = pick(f"{word}, thick oil paint", clip=sd15.clip, model=sd15.model)
        assert [m.name.rpartition("/")[2] for m in members] == [f"{name}.safetensors", "oil.safetensors"]


def test_captions_are_words_alone(folder, pick, sd15, caplog):
    folder("characters/odd.safetensors", **says("embedding:secret (very:1.9) \\(odd"))
    members, report = pick("odd", clip=sd15.clip, folder="odd", styles=0)
    assert len(members) == 1 and "cosine" in report and "embedding" not in caplog.text


def test_the_text_encoder_is_asked_once_for_each_text(folder, pick, sd15, monkeypatch):
    asked = []
    encode = sd15.clip.encode_from_tokens
    monkeypatch.setattr(
        sd15.clip, "encode_from_tokens", lambda tokens, **kw: asked.append(1) or encode(tokens, **kw)
    )
    first = pick("a cat", clip=sd15.clip)
    assert len(asked) > 2
    asked.clear()
    assert pick("a cat", clip=sd15.clip)[1] == first[1] and len(asked) == 2, "the probe and the prompt"
    folder("styles/new.safetensors", 1, **says("neon"))
    asked.clear()
    pick("a cat", clip=sd15.clip)
    assert len(asked) == 3


def test_another_start_reads_no_header_and_encodes_no_text(pack, folder, pick, sd15, tmp_path, monkeypatch):
    reads, scoring = [], part(pack, "nodes.host.scoring")
    monkeypatch.setattr(folder.library.folder_paths, "user_directory", str(tmp_path / "user"))
    text_of = folder.library.TEXTS._read
    monkeypatch.setattr(folder.library.TEXTS, "_read", lambda path: reads.append(path) or text_of(path))
    time.sleep(2.1)
    pick("a cat", clip=sd15.clip)
    assert len(reads) == 5 and not (tmp_path / "user").exists(), "it is off in these tests"

    def start():
        folder.library.TEXTS.forget()
        folder.library.VECTORS.forget()
        reads.clear()
        return pick("a cat", clip=sd15.clip)

    monkeypatch.setenv(scoring.ON_DISK, "1")
    first = start()
    assert len(reads) == 5
    assert start()[1] == first[1] and reads == []
    kept = sorted(path.name.partition("-")[0] for path in (tmp_path / "user" / "__klora").iterdir())
    assert kept == ["lora", "vectors"]
    (tmp_path / "styles" / "oil.safetensors").unlink()
    start()
    assert reads == []
    assert b"oil paint" not in (tmp_path / "user" / "__klora" / "lora-texts.bin").read_bytes()


def test_a_run_sees_what_changed_in_the_folder(pack, folder):
    node = part(pack, "nodes").KLoRAPickLoras
    seen = [node.fingerprint_inputs(prompt="x", subjects=1)]

    def changed():
        seen.append(node.fingerprint_inputs(prompt="x", subjects=1))
        return seen[-1] != seen[-2]

    assert not changed()
    path = folder("styles/new.safetensors", 1)
    assert changed() and not changed()
    folder("styles/new.safetensors", 1, **says("neon"))
    assert changed()
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(10**18, 10**18))
    assert changed(), "of the same size and time: the system's own time tells"
    path.unlink()
    assert changed()


def test_a_changed_file_is_read_anew(folder, pick):
    assert chosen(pick("inkwash", subjects=0)[0]) == [INK]
    folder("styles/ink.safetensors", 1, **{"modelspec.trigger_phrase": "charcoal"})
    assert chosen(pick("charcoal", subjects=0)[0]) == [INK]
    (folder.root / "styles" / "ink.safetensors").unlink()
    with pytest.raises(ValueError, match="Write trigger words into the prompt"):
        pick("charcoal", subjects=0)


def test_files_without_text_and_those_that_can_t_be_used_are_named(folder, pick):
    folder("styles/Paper_Cut_v2.safetensors", 1)
    torch.save({"lora_unet_x.lora_up.weight": torch.ones(1)}, folder.root / "old.pt")
    (folder.root / "cut.safetensors").write_bytes(b"cut")
    save_file({"decoder.weight": torch.ones(2)}, folder.root / "vae.safetensors")
    os.mkfifo(folder.root / "pipe.safetensors")
    members, report = pick("a paper cut of a fox", subjects=0)
    assert chosen(members) == [("styles/Paper_Cut_v2.safetensors", "style", 1.0)]
    assert "its name is in the prompt (paper cut); style by its folder styles." in report
    assert "searched by name alone: old.pt, styles/Paper_Cut_v2.safetensors." in report
    assert "damaged or no safetensors file. Download it again: cut.safetensors." in report
    assert "it holds no LoRA: it may be a checkpoint, a VAE or an embedding: vae.safetensors." in report
    assert "Left out, it is gone, or no file: pipe.safetensors." in report


def test_where_a_file_can_t_be_loaded_the_next_in_rank_takes_its_place(folder, pick):
    # Of torch's files nothing is read before.
    (folder.root / "styles" / "a inkwash.pt").write_bytes(b"PK\x03\x04 is no archive")
    members, report = pick("a inkwash", subjects=0)
    assert chosen(members) == [INK]
    assert "Left out, LoRA file" in report and report.endswith("a inkwash.pt.")


def test_where_no_layer_of_a_file_is_the_models_the_next_in_rank_takes_its_place(folder, pick, sd15):
    """Its header tells of no base, as those of the toy model's LoRAs."""
    toy = {f"transformer.transformer_blocks.0.attn.to_q.lora_{x}.weight": torch.ones(4, 4) for x in "AB"}
    save_file(toy, folder.root / "a toy.safetensors", says("ohwx cat"))
    assert chosen(pick("an ohwx cat", styles=0)[0])[0][0] == "a toy.safetensors"
    members, report = pick("an ohwx cat", styles=0, model=sd15.model)
    assert chosen(members) == [CAT] and "toy.safetensors: none of its 1 layers exists in this" in report
    with pytest.raises(ValueError, match="^Choose another LoRA.* toy.safetensors: none of its 1 layers"):
        pick("an ohwx cat", styles=0, model=sd15.model, subject_files="*toy*")


def test_an_interrupt_while_files_are_read(pack, folder, pick, monkeypatch):
    def stop():
        raise comfy.model_management.InterruptProcessingException

    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", stop)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            pick("ohwx cat")
    assert chosen(pick("ohwx cat", styles=0, folder="characters")[0]) == [CAT]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": " \n"}, "^Write what the picture shows: the prompt is empty."),
        ({"subjects": 0, "styles": 0}, "^Ask for one LoRA at least: .* are all 0."),
        (
            {"folder": "styls"},
            "^Give a folder's name, .*: folder selects none of 5 LoRA files. Folders: characters, styles.",
        ),
        ({"style_files": "nowhere"}, "style_files selects none of 5 LoRA files"),
        ({"folder": "styles", "subject_files": "characters"}, "subject_files selects none of 2 LoRA files"),
        ({"prompt": "a fox"}, r"Write trigger words into the prompt \(ohwx cat, .*\), or connect clip"),
        ({"strength": float("nan")}, "^Give a number.*: strength must be a finite number"),
        ({"clip": 3}, "^Connect a checkpoint loader: clip must be a CLIP, got 3."),
    ],
)
def test_what_can_t_be_searched_says_what_to_do(pick, options, message):
    with pytest.raises(ValueError, match=message):
        pick(**{"prompt": "ohwx cat", **options})


def test_an_empty_folder(pack, pick, tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(empty)], {".safetensors"}))
    folder_paths.filename_list_cache.clear()
    with pytest.raises(ValueError, match="^Put LoRAs into the loras folder, .*: it has no file"):
        pick("x")


def test_two_thousand_files_in_under_a_second_after_the_first_time(folder, pick, sd15):
    data = [save(sdxl(), says(f"name{i}", "photo")) for i in range(20)]
    many = folder.root / "many"
    many.mkdir()
    for i in range(2000):
        (many / f"lora {i}.safetensors").write_bytes(data[i % 20])
    time.sleep(2.1)
    pick("name7", folder="many")
    pick("name7", folder="many", clip=sd15.clip)
    start = time.process_time()
    members, report = pick("name7, ohwx cat, photo", folder="many", clip=sd15.clip)
    assert time.process_time() - start < 1
    assert len(members) == 2 and "2 of 2000 LoRAs picked" in report
