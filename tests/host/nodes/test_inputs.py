"""What no page would send to a node: one sentence each, which names the input and says what is allowed."""

from __future__ import annotations

import pytest
import torch
from comfy_api.latest import io

from tests.support.host.nodes import compose, fuse, lora_set, merged, part

JUNK = {
    "a text": "junk",
    "an empty text": "",
    "a number": 3.5,
    "a truth": True,
    "a list": ["s"],
    "lists": [["a", 0]],
    "a dict": {"a": 1},
    "an empty dict": {},
    "wrapped": {"__value__": ["a"]},
    "nothing": None,
    "no number": float("nan"),
    "no end": float("inf"),
    "a tensor": torch.ones(2, 2),
}


@pytest.fixture
def good(pack, sd15, pair):
    """By node, values of all that must be there, with each choice that has inputs of its own."""
    set_ = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    numbers = {"subject_strength": 1.0, "style_strength": 1.0, "balance": 0.0}
    swept = {"model": sd15.model, "subject": pair[0], "style": pair[1]}
    pair_ = {**swept, **numbers}
    klora = {"method": "K-LoRA", "schedule": {"schedule": "s"}}
    switch = {"method": "LoRA Switch", "turn": {"turn": "steps"}}
    several = {"model": sd15.model, "set": set_}
    return {
        "KLoRAFuse": [{**pair_, "schedule": {"schedule": "s"}}],
        "KLoRACompose": [{**several, "method": each} for each in (klora, switch, {"method": "CMLoRA"})],
        "KLoRAMerge": [{**several, "method": {"method": name}} for name in ("TIES", "DARE", "NP-LoRA")],
        "KLoRASet": [{"strength": 1.0, "role": "subject", "lora": pair[0]}],
        "KLoRASweep": [{**swept, "over": {"over": each}} for each in ("balance", "strength", "method")],
        "KLoRASelectionMap": [{"plan": fuse(pack, sd15.model, *pair).plan, "steps": 4}],
    }


def inner(inputs, given, path=()):
    """(path, input) of each input, and of those of the choices that are made."""
    for each in inputs:
        yield (*path, each.id), each
        if isinstance(each, io.DynamicCombo.Input):
            own = given.get(each.id, {})
            chosen = [option.inputs for option in each.options if option.key == own.get(each.id)]
            yield from inner(chosen[0] if chosen else [], own, (*path, each.id))


def changed(given, path, value):
    head, *rest = path
    return {**given, head: changed(given.get(head, {}), rest, value) if rest else value}


NODES = ("KLoRAFuse", "KLoRACompose", "KLoRAMerge", "KLoRASet", "KLoRASelectionMap", "KLoRASweep")
# What the node means by it: as if it were not there, or one that is offered.
FITS = {
    "nothing": lambda each: (
        not isinstance(each, io.DynamicCombo.Input)
        and (
            # Of plain ones the host refuses it.
            each.optional or each.get_io_type() in ("FLOAT", "INT", "COMBO")
        )
    ),
    "a truth": lambda each: isinstance(each, io.Boolean.Input),
    "an empty text": lambda each: isinstance(each, io.String.Input),
    "a tensor": lambda each: each.get_io_type() == "SIGMAS",
    "a number": lambda each: isinstance(each, io.Float.Input),
    "a list": lambda each: each.get_io_type() == "LORA_STACK",
    "lists": lambda each: each.get_io_type() == "LORA_STACK",
    "a dict": lambda each: each.get_io_type() == "LORA_MODEL",
    "an empty dict": lambda each: each.get_io_type() == "LORA_MODEL",
    "wrapped": lambda each: each.get_io_type() == "LORA_MODEL",
}


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("junk", JUNK)
def test_junk_at_every_input_of_every_node(pack, good, node, junk):
    kind = getattr(part(pack, "nodes"), node)
    seen = 0
    for given in good[node]:
        for path, each in inner(kind.define_schema().inputs, given):
            if junk in FITS and FITS[junk](each):
                continue
            with pytest.raises(ValueError) as caught:
                kind.execute(**changed(given, path, JUNK[junk]))
            error, said = caught.value, str(caught.value)
            assert type(error).__name__ == "KLoraError", (path, said)
            assert "\n" not in said and len(said) < 600, (path, said)
            assert path[-1] in said.replace("other layers", "other_layers"), (path, said)
            offered = getattr(each, "options", None) or []
            for option in offered:
                assert str(getattr(option, "key", option)) in said, (path, said)
            seen += 1
    assert seen or junk == "nothing"


@pytest.mark.parametrize("value", [3, ["a"], None, {"a": 1}, "", "../no.safetensors", "a\0b", "\ud800"])
@pytest.mark.parametrize("node", ["KLoRALoadLora", "KLoRALoadPair"])
def test_a_file_name_that_is_none(pack, pair, node, value):
    kind = getattr(part(pack, "nodes"), node)
    names = {each.id: value for each in kind.define_schema().inputs}
    with pytest.raises(ValueError, match="loras folder") as caught:
        kind.execute(**names)
    assert type(caught.value).__name__ == "KLoraError"
    stack = [(value, 1.0, 1.0)] if value is not None and value != "" else [(3, 1.0, 1.0)]
    with pytest.raises(ValueError, match="loras folder"):
        part(pack, "nodes").KLoRASet.execute(1.0, "subject", lora_stack=stack)


def test_a_file_name_by_a_wire_has_no_fingerprint_and_equals_none(pack):
    nodes = part(pack, "nodes")
    prints = [nodes.KLoRALoadLora.fingerprint_inputs(None) for _ in range(2)]
    prints += [nodes.KLoRALoadPair.fingerprint_inputs(None, None) for _ in range(2)]
    assert len(set(prints)) == 4


def test_the_dotted_names_of_a_choice_by_a_wire_are_its_own(pack, sd15, pair):
    """The host nests only what belongs to a choice that stands in the prompt itself."""
    want = fuse(pack, sd15.model, *pair, schedule={"schedule": "s*", "alpha": 2.0}).plan
    assert fuse(pack, sd15.model, *pair, schedule="s*", **{"schedule.alpha": 2.0}).plan == want
    assert fuse(pack, sd15.model, *pair, schedule={"__value__": "s*"}, **{"schedule.alpha": 2.0}).plan == want
    set_ = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    dotted = {"method.schedule": "s*", "method.schedule.alpha": 2.0}
    assert compose(pack, sd15.model, set_, "K-LoRA", **dotted).plan == want
    said = merged(pack, sd15.model, set_, "TIES", **{"method.density": 0.4})[1]
    assert said == merged(pack, sd15.model, set_, "ties", **{"method.density": 0.4})[1]
    assert "density 0.4" in said


def test_what_belongs_to_another_choice_is_left_and_what_to_none_is_refused(pack, sd15, pair, caplog):
    set_ = lora_set(pack, (pair[0], "subject", 1.0), (pair[1], "style", 1.0))
    switch = compose(pack, sd15.model, set_, "LoRA Switch").plan
    assert compose(pack, sd15.model, set_, "LoRA Switch", **{"method.balance": 0.5}).plan == switch
    for own, words in (
        (
            {"method.tau": 3},
            "Leave 'tau' out: LoRA Switch has no such input: 'tau'. It has turn, order, reserve.",
        ),
        (
            {"method.turn.tua": 3, "method.turn": "steps"},
            "Leave 'tua' out: steps has no such input: 'tua'. It has tau.",
        ),
        ({"balance": 0.5}, 'Send it as "method.balance": balance belongs to method.'),
        ({"method.turn": None}, "method.turn must be one of steps, part of the run, got nothing."),
        ({"method.turn": "part"}, "turn must be one of steps, part of the run, got 'part'."),
    ):
        with pytest.raises(ValueError) as caught:
            compose(pack, sd15.model, set_, "LoRA Switch", **own)
        assert str(caught.value).startswith(words)
    with pytest.raises(ValueError, match='^Send it as "schedule.alpha": alpha belongs to schedule'):
        fuse(pack, sd15.model, *pair, alpha=3.0)
    caplog.clear()
    assert fuse(pack, sd15.model, *pair, speak_and_listen=[True]).plan
    assert "K-LoRA Fuse has no input 'speak_and_listen': it is not used." in caplog.text


def test_numbers_that_are_none_of_pythons(pack, sd15, pair):
    import numpy as np

    plain = fuse(pack, sd15.model, *pair, balance=0.5).plan
    assert fuse(pack, sd15.model, *pair, balance=np.float32(0.5)).plan == plain
    nodes = part(pack, "nodes")
    whole = nodes.KLoRASelectionMap.execute(plain, 4.0).result[0]
    assert torch.equal(whole, nodes.KLoRASelectionMap.execute(plain, 4).result[0])
