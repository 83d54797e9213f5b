"""LoRA Set in the real host: stacks of other packs, rows that are off, and refusals."""

from __future__ import annotations

import folder_paths
import pytest
from safetensors.torch import save_file

from tests.support.host.nodes import compose, part


def test_a_stack_of_other_packs(pack, sd15, pair, styles, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    names = ("a.safetensors", "b.safetensors", "c.safetensors")
    for name, lora in zip(names, (pair[0], *styles[:2]), strict=True):
        save_file(lora, tmp_path / name)
    stack = [("None", 1.0, 1.0), (names[0], 0.9, 0.4), (names[1], 1.0, 1.0), (names[2], 0.5, 0.0)]
    execute = part(pack, "nodes").KLoRASet.execute
    members = execute(1.0, "subject", lora_stack=stack).result[0]
    assert [(m.name, m.role, m.strength, m.on_clip) for m in members] == [
        (names[0], "subject", 0.9, 0.4),
        (names[1], "style", 1.0, 1.0),
        (names[2], "style", 0.5, 0.0),
    ]
    roles = execute(1.0, "subject", lora_stack=stack, stack_roles="all styles").result[0]
    assert [m.role for m in roles] == ["style"] * 3
    more = execute(1.0, "subject", lora=pair[0], set=members[1:]).result[0]
    assert [m.role for m in more] == ["style", "style", "subject"]
    plan = compose(pack, sd15.model, members, "K-LoRA").plan
    assert [lora.strength for lora in plan.loras] == [0.9, 1.0, 0.5]


def test_a_row_that_is_off_takes_no_part(pack, sd15, pair, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path)], {".safetensors"}))
    execute = part(pack, "nodes").KLoRASet.execute
    save_file(pair[1], tmp_path / "a.safetensors")
    stack = [("a.safetensors", 1.0, 1.0)]
    first = execute(1.0, "subject", lora=pair[0]).result[0]
    assert execute(1.0, "style", lora=pair[1], set=first, on=True).result[0][1].role == "style"
    # Neither what it holds, nor what is wrong with it.
    off = {"lora": pair[1], "lora_stack": stack, "blocks": "no: such", "set": first, "on": False}
    assert execute(1.0, "style", **off).result[0] == first
    none = execute(1.0, "subject", lora=pair[0], on=False).result[0]
    later = execute(1.0, "style", lora=pair[1], set=none).result[0]
    assert [member.role for member in later] == ["style"]
    empty = execute(1.0, "style", lora=pair[1], set=none, on=False).result[0]
    for node, rest in (("KLoRACompose", ({"method": "LoRA Switch"},)), ("KLoRAMerge", ({"method": "TIES"},))):
        with pytest.raises(ValueError, match="Switch a LoRA of set on") as caught:
            getattr(part(pack, "nodes"), node).execute(sd15.model, empty, *rest)
        assert type(caught.value).__name__ == "KLoraError"
    with pytest.raises(ValueError, match="on must be true or false, got 'off'"):
        execute(1.0, "style", lora=pair[1], on="off")


def test_what_a_set_refuses(pack, pair):
    execute = part(pack, "nodes").KLoRASet.execute
    for options, words in (
        ({}, "^Connect a LoRA, .*: the LoRA Set is empty"),
        ({"lora": pair[0], "role": "content"}, "^Use one of subject, style, other: unknown role 'content'"),
        ({"lora": pair[0], "strength": float("nan")}, "strength must be a finite number"),
        ({"lora_stack": ["a.safetensors"]}, r"no \(name, strength_model, strength_clip\)"),
        ({"lora_stack": [("nowhere.safetensors", 1.0, 1.0)]}, "not in the loras folder"),
        ({"lora_stack": [], "stack_roles": "x"}, "^Use one of .*: unknown stack_roles"),
    ):
        with pytest.raises(ValueError, match=words):
            execute(**{"strength": 1.0, "role": "subject", **options})
