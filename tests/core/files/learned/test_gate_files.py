"""Trained gates as files: written and read back, and everything that can be wrong with one said in a line."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from klora_core import files
from klora_core.errors import KLoraError
from klora_core.files.learned import (
    GateFile,
    LoraMark,
    SlotGate,
    content_of,
    content_of_file,
    gate_io,
    gate_of,
    gate_tensors,
    is_gate,
    open_gate,
    save_gate,
)

LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
HEAD = f"klora_gate.{LAYER}"


def gate(**more):
    e = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    marks = (LoraMark("cat.safetensors", "12ab"), LoraMark("ink.safetensors", "34cd"))
    return GateFile(
        "g.safetensors", "MoLE", "picture", "N", marks, {LAYER: SlotGate(e, 0.75)}, "SDXL", **more
    )


def same(one, other):
    return one.content == other.content and all(
        torch.equal(one.slots[name].e, other.slots[name].e) and one.slots[name].tau == other.slots[name].tau
        for name in one.slots
    )


def test_a_file_reads_back_equal(tmp_path):
    save_gate(tmp_path / "g.safetensors", gate(top=2))
    found = open_gate(tmp_path / "g.safetensors")
    assert (
        same(found, gate(top=2)) and found.loras == gate().loras and found.base == "SDXL" and found.top == 2
    )
    assert (found.name, found.method, found.pool, found.total) == ("g.safetensors", "MoLE", "picture", "N")
    with safe_open(tmp_path / "g.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "klora_gate": about(top=2)["klora_gate"]}


def test_a_gate_whose_header_alone_says_what_it_is(tmp_path):
    tensors, metadata = gate_tensors(gate())
    del tensors["klora_gate.about"]
    save_file(tensors, tmp_path / "g.SAFETENSORS", metadata)
    assert same(open_gate(tmp_path / "g.SAFETENSORS"), gate())
    save_gate(tmp_path / "g.SAFETENSORS", gate(top=1))
    assert open_gate(tmp_path / "g.SAFETENSORS").top == 1


def test_e_is_stored_in_float32():
    e = gate().slots[LAYER].e.half()
    own = GateFile(**{**vars(gate()), "slots": {LAYER: SlotGate(e.T.contiguous().T, 2)}})
    stored = gate_tensors(own)[0][f"{HEAD}.e"]
    assert stored.dtype == torch.float32 and stored.is_contiguous() and torch.equal(stored, e.float())


def test_tensors_alone_say_what_they_are():
    """What core's Save LoRA writes has no header."""
    tensors, metadata = gate_tensors(gate())
    assert set(tensors) == {"klora_gate.about", f"{HEAD}.e", f"{HEAD}.tau"}
    assert set(json.loads(metadata["klora_gate"])) == {"method", "pool", "sum", "base", "loras"}
    for told in (metadata, {}, None):
        assert same(gate_of("g", tensors, told), gate())
    without = {key: tensor for key, tensor in tensors.items() if key != "klora_gate.about"}
    assert same(gate_of("g", without, metadata), gate())


@pytest.mark.parametrize("what", ["e", "tau", "pool", "lora"])
def test_the_content_tells_gates_apart(what):
    other = gate()
    if what == "e":
        other = GateFile(**{**vars(other), "slots": {LAYER: SlotGate(other.slots[LAYER].e + 1, 0.75)}})
    elif what == "tau":
        other = GateFile(**{**vars(other), "slots": {LAYER: SlotGate(other.slots[LAYER].e, 0.5)}})
    elif what == "pool":
        other = GateFile(**{**vars(other), "pool": "token"})
    else:
        other = GateFile(**{**vars(other), "loras": (*other.loras[:1], LoraMark("ink", "99"))})
    assert other.content != gate().content


def about(**more):
    said = json.loads(gate_tensors(gate())[1]["klora_gate"])
    return {"klora_gate": json.dumps({**said, **more})}


def longer(by=0):
    """What a gate says, with blanks behind it to the longest that is read, or longer ``by`` some."""
    text = gate_tensors(gate())[1]["klora_gate"]
    return {"klora_gate": text + " " * (2**20 + by - len(text))}


TENSORS = gate_tensors(gate())[0]
MARK = {"name": "a", "content": "1"}


@pytest.mark.parametrize(
    ("changed", "metadata", "said"),
    [
        ({f"{HEAD}.e": None}, None, f"layer {LAYER} has no e"),
        ({f"{HEAD}.tau": None}, None, f"layer {LAYER} has no tau"),
        ({f"{HEAD}.tau": torch.tensor(0.0)}, None, f"layer {LAYER}: tau must be one number above 0"),
        ({f"{HEAD}.tau": torch.ones(2)}, None, f"layer {LAYER}: tau must be one number"),
        ({f"{HEAD}.tau": torch.tensor(float("nan"))}, None, f"layer {LAYER}: tau holds NaN or inf"),
        ({f"{HEAD}.e": torch.full((16, 2), float("inf"))}, None, f"layer {LAYER}: e holds NaN or inf"),
        ({f"{HEAD}.e": torch.zeros(16, 2, dtype=torch.int64)}, None, f"layer {LAYER}: e is stored as int64"),
        ({f"{HEAD}.e": torch.zeros(16)}, None, rf"layer {LAYER}: e is \(16,\), not N out x N"),
        ({f"{HEAD}.e": torch.zeros(15, 2)}, None, rf"layer {LAYER}: e is \(15, 2\)"),
        ({f"{HEAD}.e": torch.zeros(0, 2)}, None, rf"layer {LAYER}: e is \(0, 2\)"),
        ({f"{HEAD}.e": torch.zeros(16, 1)}, None, rf"layer {LAYER}: e is \(16, 1\)"),
        ({f"{HEAD}.e": torch.zeros(130, 65)}, None, rf"layer {LAYER}: e is \(130, 65\)"),
        ({f"{HEAD}.e": torch.zeros(4, 2, 2)}, None, rf"layer {LAYER}: e is \(4, 2, 2\)"),
        ({f"{HEAD}.tau": torch.tensor(-1.0)}, None, f"layer {LAYER}: tau must be one number above 0"),
        ({f"{HEAD}.e": 3}, None, f"layer {LAYER}: e is no tensor"),
        ({5: torch.ones(1)}, None, "5 is no part of a trained gate"),
        ({"klora_gate.about": "text"}, None, "klora_gate.about is no text"),
        (
            {"klora_gate.about": torch.full((2**20 + 1,), 32, dtype=torch.uint8)},
            None,
            "klora_gate.about is no text",
        ),
        ({}, longer(1), "what it says of its gate is no JSON object"),
        ({}, about(method=""), "does not say the method"),
        ({}, about(loras=None), "does not name the two or more LoRAs"),
        ({}, about(loras="ab"), "does not name the two or more LoRAs"),
        ({}, about(loras=[MARK]), "does not name the two or more LoRAs"),
        ({}, about(loras=[MARK, {"name": "", "content": "1"}]), "a LoRA of its gate has no name"),
        ({}, about(top=65), "its top is 65"),
        ({}, about(top=1.0), "its top is 1.0"),
        ({"klora_gate.x.y": torch.ones(1)}, None, "klora_gate.x.y is no part of a trained gate"),
        ({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, None, "lora_unet_x.lora_up.weight is no part"),
        ({"klora_gate..e": torch.ones(2, 2)}, None, "klora_gate..e is no part"),
        ({"klora_gate.\x1b[2J.e": torch.ones(2, 2)}, None, r"klora_gate.\\x1b\[2J.e is no part"),
        ({"klora_gate.about": None}, None, "does not say which LoRAs the gate is of"),
        ({"klora_gate.about": torch.ones(3)}, None, "klora_gate.about is no text"),
        (
            {"klora_gate.about": torch.tensor([255, 0], dtype=torch.uint8)},
            None,
            "what it says of its gate is no JSON object",
        ),
        ({}, {"klora_gate": "[" * 100_000}, "what it says of its gate is no JSON object"),
        ({}, {"klora_gate": "x" * (1 << 21)}, "what it says of its gate is no JSON object"),
        ({}, {"klora_gate": "[]"}, "what it says of its gate is no JSON object"),
        ({}, about(method=3), "does not say the method"),
        ({}, about(pool="word"), "its pool is 'word', not picture or token"),
        ({}, about(sum="2"), "its sum is '2', not 1 or N"),
        ({}, about(loras=[]), "does not name the two or more LoRAs"),
        ({}, about(loras=[{"name": "a", "content": "1"}] * 65), "does not name the two or more LoRAs"),
        ({}, about(loras=[{"name": "a"}, {"name": "b"}]), "a LoRA of its gate has no name or no content"),
        ({}, about(loras=["a", "b"]), "a LoRA of its gate has no name or no content"),
        ({}, about(top=0), "its top is 0"),
        ({}, about(top=True), "its top is True"),
        ({}, about(top="1" * 9000), "its top is 1"),
    ],
)
def test_hostile_files_are_refused_in_one_line(changed, metadata, said):
    tensors = {key: tensor for key, tensor in {**TENSORS, **changed}.items() if tensor is not None}
    with pytest.raises(KLoraError, match=rf"^[A-Z][^:]+: g\.safetensors: {said}") as raised:
        gate_of("g.safetensors", tensors, metadata)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 700


@pytest.mark.parametrize("top", [None, 1, 64])
@pytest.mark.parametrize(("base", "words"), [("SDXL", "SDXL"), ("", None), (3, None), (None, None)])
def test_what_a_gate_may_say(base, words, top):
    found = gate_of("g", TENSORS, about(base=base, top=top, loras=[MARK] * 64))
    assert (found.name, found.base, found.top, len(found.loras)) == ("g", words, top, 64)


def test_the_longest_text_that_is_read():
    assert same(gate_of("g", TENSORS, longer()), gate())
    text = torch.tensor(list(longer()["klora_gate"].encode()), dtype=torch.uint8)
    assert same(gate_of("g", {**TENSORS, "klora_gate.about": text}), gate())


def test_a_gate_of_as_many_loras_as_there_may_be():
    slots = gate_of("g", {**TENSORS, f"{HEAD}.e": torch.zeros(128, 64)}).slots
    assert slots[LAYER].e.shape == (128, 64)


def test_names_from_a_file_are_fit_to_be_shown():
    marks = [{"name": "\x1b[31mcat", "content": "1"}, {"name": "b" * 9000, "content": "2"}]
    found = gate_of("g", TENSORS, about(loras=marks, base="\x07"))
    assert all(mark.name.isprintable() and len(mark.name) < 300 for mark in found.loras)
    assert found.base == r"\x07"


def test_files_that_are_none(tmp_path):
    save_file({"lora_unet_x.lora_up.weight": torch.ones(2, 2)}, tmp_path / "lora.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name, said in (
        ("lora.safetensors", "lora.safetensors: is no trained gate"),
        ("cut.safetensors", "cut.safetensors: is not a complete safetensors file"),
        ("none.safetensors", "none.safetensors: is not a file"),
    ):
        with pytest.raises(KLoraError, match=f"^[A-Z][^:]+: {said}"):
            open_gate(tmp_path / name)


def test_a_gate_is_no_lora(tmp_path):
    assert is_gate(TENSORS) and not is_gate({"x": 1, 3: 2})
    save_gate(tmp_path / "g.safetensors", gate())
    with pytest.raises(
        KLoraError, match="^Connect it to gate .*: g.safetensors: is a trained gate and no LoRA"
    ):
        files.read(tmp_path / "g.safetensors")


def test_what_can_t_be_written_leaves_the_place_as_it_was(tmp_path):
    with pytest.raises(KLoraError, match="ends in .safetensors"):
        save_gate(tmp_path / "g.pt", gate())
    with pytest.raises(KLoraError, match="can't write"):
        save_gate(tmp_path / "none" / "g.safetensors", gate())
    (tmp_path / "g.safetensors").write_bytes(b"before")
    bad = GateFile(**{**vars(gate()), "slots": {LAYER: SlotGate(torch.full((16, 2), float("nan")))}})
    with pytest.raises(KLoraError, match=r"^Use another .*: g\.safetensors: layer .*NaN"):
        save_gate(tmp_path / "g.safetensors", bad)
    assert (tmp_path / "g.safetensors").read_bytes() == b"before"


@pytest.mark.parametrize("lost", [{f"{HEAD}.tau": None}, {f"{HEAD}.tau": torch.tensor(0.5)}])
def test_what_a_disk_does_not_keep_is_said(tmp_path, monkeypatch, lost):
    def save(tensors, path, metadata):
        kept = {key: tensor for key, tensor in {**tensors, **lost}.items() if tensor is not None}
        save_file(kept, path, metadata)

    monkeypatch.setattr(gate_io, "save_file", save)
    with pytest.raises(
        KLoraError, match=rf"^Check the disk: g\.safetensors: {HEAD}\.tau was not stored as it is"
    ):
        save_gate(tmp_path / "g.safetensors", gate())
    assert not list(tmp_path.iterdir())


def test_the_content_of_a_lora_is_its_tensors_whatever_file_they_lie_in(tmp_path):
    tensors = {"b": torch.randn(3, 4), "a": torch.randn(2).half()}
    for i, metadata in enumerate(({}, {"ss_training_comment": "x"})):
        save_file(tensors, tmp_path / f"{i}.safetensors", metadata)
        assert content_of_file(tmp_path / f"{i}.safetensors") == content_of(tensors)
    torch.save(tensors, tmp_path / "t.pt")
    assert content_of_file(tmp_path / "t.pt") == content_of(tensors)
    assert content_of({**tensors, "note": "text", 3: "x"}) == content_of(tensors)
    assert content_of({**tensors, "b": tensors["b"].T}) != content_of(tensors)
    assert content_of({**tensors, "b": tensors["b"].double()}) != content_of(tensors)
    assert content_of({"c": tensors["b"], "a": tensors["a"]}) != content_of(tensors)


def test_a_gate_saved_once_knows_its_loras_for_ever():
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(2).half(), "half \ud800": torch.zeros(0)}
    assert content_of(tensors) == "e82227efd07847afd0e6d8832d31a041"
