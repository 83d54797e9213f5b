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
        (
            "KLoRAFuse",
            {"schedule": "S"},
            "Use one of s, s*, or np-lora, for both all the time: unknown schedule 'S'.",
        ),
        (
            "KLoRAFuse",
            {"schedule": "x", "schedule.alpha": 2.0},
            "Use one of s, s*, or np-lora, for both all the time: unknown schedule 'x'.",
        ),
        ("KLoRAFuse", {"alpha": 2.0}, 'Send it as "schedule.alpha": alpha belongs to schedule.'),
        (
            "KLoRAFuse",
            {"schedule.gamma": 2.0},
            "Leave 'gamma' out: s has no such input: 'gamma'. It has alpha, beta.",
        ),
        (
            "KLoRAFuse",
            {"subject": "a.safetensors"},
            "Connect Load LoRA for Fusion: subject must be a LoRA, got 'a.safetensors'",
        ),
        ("KLoRAFuse", {"model": "sd15"}, "Connect a checkpoint loader: model must be a model, got 'sd15'."),
        ("KLoRAFuse", {"model": None}, "Connect a checkpoint loader: model must be a model, got nothing"),
        ("KLoRAFuse", {"clip": 3}, "Connect a checkpoint loader: clip must be a CLIP, got 3"),
        ("KLoRACompose", {"method": "klora"}, f"method must be one of {METHODS}, got 'klora'."),
        ("KLoRACompose", {"method.schedule": "x"}, "Use one of s, s*: unknown schedule 'x'."),
        ("KLoRACompose", {"method.schedule": "np-lora"}, "Use one of s, s*: unknown schedule 'np-lora'."),
        (
            "KLoRAFuse",
            {"schedule": "np-lora", "schedule.balance": 1},
            "Leave 'balance' out: np-lora has no such input",
        ),
        (
            "KLoRACompose",
            {"method": "As scheduled", "method.start": 0},
            "Leave 'start' out: As scheduled has no such input",
        ),
        (
            "KLoRACompose",
            {"method": "LoRA Switch", "method.turn": "part"},
            "turn must be one of steps, part of",
        ),
        (
            "KLoRACompose",
            {"method": "LoRA Switch", "method.tau": 3},
            "Leave 'tau' out: LoRA Switch has no such input",
        ),
        ("KLoRACompose", {"set": "a"}, "Connect LoRA Set: set must be a set of LoRAs, got 'a'."),
        ("KLoRACompose", {"set": {"__value__": []}}, "Connect LoRA Set: set must be a set of LoRAs, got []"),
        ("KLoRAMerge", {"method": "Ties"}, f"method must be one of {MERGES}, got 'Ties'."),
        (
            "KLoRAMerge",
            {"method": "ties", "method.density": "much"},
            "density must be a finite number",
        ),
        (
            "KLoRASelectionMap",
            {"plan": "p"},
            "Connect K-LoRA Fuse or Compose LoRAs: plan must be a plan, got 'p'",
        ),
        (
            "KLoRASelectionMap",
            {"sigmas": "normal"},
            "Connect a scheduler node: sigmas must be sigmas, got 'normal'.",
        ),
        (
            "KLoRASet",
            {"lora": "a.safetensors"},
            "Connect Load LoRA for Fusion: lora must be a LoRA, got 'a.safetensors'",
        ),
        (
            "KLoRASet",
            {"lora_stack": "a"},
            "Connect a LoRA stacker: lora_stack must be a stack of LoRAs, got 'a'",
        ),
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
