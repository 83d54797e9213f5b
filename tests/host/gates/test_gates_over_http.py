"""Gates through the real server: what is wired into a method's own inputs arrives there."""

from __future__ import annotations

import json

import pytest

from tests.support.host.http_graphs import lora_graph
from tools.host.server import PromptRefused


def run(served, **inputs):
    graph = lora_graph("KLoRACompose")
    graph["node"]["inputs"] |= inputs
    return served.run(json.loads(json.dumps(graph)))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"method.gate": ["pair", 1]}, "tiny-style-sd15.safetensors: is no trained gate"),
        ({"method.gate": "gate.safetensors"}, "gate must be a LoRA, got 'gate.safetensors'"),
    ],
)
def test_mole_and_what_is_sent_to_its_gate(served, inputs, words):
    found = run(served, method="MoLE", **inputs)
    assert found.error is not None and words in found.error["exception_message"]


def test_a_gate_that_is_not_connected_is_asked_for_by_the_host(served):
    with pytest.raises(PromptRefused, match="method.gate"):
        run(served, method="MoLE")


def test_arrow_and_its_dials(served):
    inputs = {"method.top": 1, "method.pool": "picture", "method.sum": "N"}
    (told,) = run(served, method="Arrow", **inputs).texts("report")
    assert "one a layer and picture" in told and "top" in told
    assert "decided by the picture: a run shows it" in told
