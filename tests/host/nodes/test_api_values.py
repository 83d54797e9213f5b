"""API prompts through the real server: what is sent acts, or one sentence says what is allowed."""

from __future__ import annotations

import json

import pytest

from tests.support.host.http_graphs import Graph, lora_graph
from tools.host.server import PromptRefused

METHODS = "K-LoRA, LoRA Switch, LoRA Composite, CMLoRA, B-LoRA, Arrow, MoLE, As scheduled, NP-LoRA"
MERGES = "Linear, SVD, Magnitude prune, TIES, DARE, DARE-TIES, KnOTS, LoRA-LEGO, NP-LoRA"
NO_CHOICE = [3, 2.5, True, None, ["s"], {"__value__": ["s", "s*"]}, {}, {"schedule": 3}, "missing"]


def sent(node: str, **inputs) -> Graph:
    graph = lora_graph(node)
    graph["node"]["inputs"] |= inputs
    graph["node"]["inputs"] = {k: v for k, v in graph["node"]["inputs"].items() if v != "missing"}
    return json.loads(json.dumps(graph))


def said(served, graph: Graph) -> str:
    """The message of the error that a run ends with."""
    run = served.run(graph)
    assert run.error is not None, run.texts("report")
    assert run.error["exception_type"] == "KLoraError", run.error["exception_message"]
    (line,) = run.error["exception_message"].strip().split("\n")
    return line


@pytest.mark.parametrize("value", NO_CHOICE)
def test_a_choice_that_is_none(served, value):
    for node, name, offered in (
        ("KLoRAFuse", "schedule", "s, s*, np-lora"),
        ("KLoRACompose", "method", METHODS),
        ("KLoRAMerge", "method", MERGES),
    ):
        line = said(served, sent(node, **{name: value}))
        assert line.startswith(f"{name} must be one of {offered}, got ") and f'"{name}": "' in line


@pytest.mark.parametrize("value", [each for each in NO_CHOICE if each != "missing"])
def test_a_choice_within_a_choice_that_is_none(served, value):
    line = said(served, sent("KLoRACompose", **{"method.schedule": value}))
    assert line.startswith("method.schedule must be one of s, s*, got ")
    line = said(served, sent("KLoRACompose", method="LoRA Switch", **{"method.turn": value}))
    assert line.startswith("method.turn must be one of steps, part of the run, got ")


@pytest.mark.parametrize(
    ("node", "inputs", "words"),
    [
        ("KLoRAFuse", {"schedule": "S"}, "Unknown schedule 'S': use one of s, s*."),
        ("KLoRAFuse", {"schedule": "x", "schedule.alpha": 2.0}, "Unknown schedule 'x': use one of s, s*."),
        ("KLoRAFuse", {"alpha": 2.0}, 'alpha belongs to schedule: send it as "schedule.alpha".'),
        ("KLoRAFuse", {"schedule.gamma": 2.0}, "s has no such input: 'gamma'. It has alpha, beta."),
        ("KLoRAFuse", {"subject": "a.safetensors"}, "subject must be a LoRA, got 'a.safetensors'"),
        ("KLoRAFuse", {"model": "sd15"}, "model must be a model, got 'sd15': connect a checkpoint loader."),
        ("KLoRAFuse", {"model": None}, "model must be a model, got nothing"),
        ("KLoRAFuse", {"clip": 3}, "clip must be a CLIP, got 3"),
        ("KLoRACompose", {"method": "klora"}, f"method must be one of {METHODS}, got 'klora'."),
        ("KLoRACompose", {"method.schedule": "x"}, "Unknown schedule 'x': use one of s, s*."),
        ("KLoRACompose", {"method.schedule": "np-lora"}, "Unknown schedule 'np-lora': use one of s, s*."),
        ("KLoRAFuse", {"schedule": "np-lora", "schedule.balance": 1}, "np-lora has no such input: 'balance'"),
        ("KLoRACompose", {"method": "As scheduled", "method.start": 0}, "As scheduled has no such input"),
        (
            "KLoRACompose",
            {"method": "LoRA Switch", "method.turn": "part"},
            "turn must be one of steps, part of",
        ),
        ("KLoRACompose", {"method": "LoRA Switch", "method.tau": 3}, "LoRA Switch has no such input: 'tau'."),
        ("KLoRACompose", {"set": "a"}, "set must be a set of LoRAs, got 'a': connect LoRA Set."),
        ("KLoRACompose", {"set": {"__value__": []}}, "set must be a set of LoRAs, got []"),
        ("KLoRAMerge", {"method": "Ties"}, f"method must be one of {MERGES}, got 'Ties'."),
        ("KLoRAMerge", {"method": "ties", "method.density": "much"}, "density must be a finite number"),
        ("KLoRASelectionMap", {"plan": "p"}, "plan must be a plan, got 'p'"),
        (
            "KLoRASelectionMap",
            {"sigmas": "normal"},
            "sigmas must be sigmas, got 'normal': connect a scheduler",
        ),
        ("KLoRASet", {"lora": "a.safetensors"}, "lora must be a LoRA, got 'a.safetensors'"),
        ("KLoRASet", {"lora_stack": "a"}, "lora_stack must be a stack of LoRAs, got 'a'"),
    ],
)
def test_one_sentence_says_what_is_allowed(served, node, inputs, words):
    assert said(served, sent(node, **inputs)).startswith(words)


@pytest.mark.parametrize(
    ("node", "inputs"),
    [
        ("KLoRAFuse", {"balance": "much"}),
        ("KLoRAFuse", {"gamma": "papers"}),
        ("KLoRAFuse", {"gamma": ["paper"]}),
        ("KLoRAFuse", {"schedule.alpha": "much"}),
        ("KLoRACompose", {"method.balance": "much"}),
        ("KLoRACompose", {"method.gamma": {"__value__": ["paper"]}}),
        ("KLoRAMerge", {"rank": "much"}),
        ("KLoRALoadLora", {"lora_name": {"__value__": ["a"]}}),
    ],
)
def test_what_the_host_itself_refuses(served, node, inputs):
    with pytest.raises(PromptRefused, match=next(iter(inputs))):
        served.queue(sent(node, **inputs))


@pytest.mark.parametrize(
    ("node", "inputs", "same"),
    [
        ("KLoRACompose", {}, {"method.balance": 0.0, "method.schedule": "s"}),
        ("KLoRACompose", {"method.schedule": "s*"}, {"method.balance": 0.0, "method.schedule": "s*"}),
        ("KLoRACompose", {"method.balance": 0.5}, {"method.balance": 0.5, "method.gamma": "paper"}),
        ("KLoRACompose", {"method": "LoRA Switch", "method.balance": 0.5}, {"method": "LoRA Switch"}),
        (
            "KLoRAFuse",
            {"schedule": {"schedule": "s*", "beta": 1.0}},
            {"schedule": "s*", "schedule.beta": 1.0},
        ),
        ("KLoRAFuse", {"schedule": {"__value__": "s*"}}, {"schedule": "s*"}),
        ("KLoRAMerge", {"method": "ties", "method.density": 0.4}, {"method": "TIES", "method.density": 0.4}),
    ],
)
def test_what_acts_alike(served, node, inputs, same):
    runs = [served.run(sent(node, **each)) for each in (inputs, same)]
    assert [run.error for run in runs] == [None, None]
    (one,), (other,) = (run.texts("report") for run in runs)
    assert one == other != ""
