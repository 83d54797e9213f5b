"""What the editor queues: the converter gives the same, and files of older versions keep their values."""

from __future__ import annotations

import copy
import json

import pytest

from tools.host.api_format import to_api
from tools.host.find import REPO

BUILD = """() => {
  const graph = app.rootGraph
  graph.clear()
  const add = (type) => {
    const node = LiteGraph.createNode(type)
    graph.add(node)
    return node
  }
  const wire = (from, slot, to, input) => from.connect(slot, to, to.inputs.findIndex((i) => i.name === input))
  const model = add('CheckpointLoaderSimple'), lora = add('LoraLoader'), muted = add('LoraLoader')
  const reroute = add('Reroute'), text = add('CLIPTextEncode'), seed = add('PrimitiveNode')
  const sampler = add('KSampler'), latent = add('EmptyLatentImage'), load = add('LoadImage')
  const fuse = add('KLoRAFuse'), note = add('Note')
  wire(model, 0, lora, 'model')
  wire(model, 1, lora, 'clip')
  wire(lora, 0, fuse, 'model')
  wire(lora, 1, reroute, '')
  reroute.connect(0, text, 0)
  wire(model, 1, muted, 'clip')
  wire(muted, 1, fuse, 'clip')
  wire(fuse, 0, sampler, 'model')
  wire(text, 0, sampler, 'positive')
  wire(latent, 0, sampler, 'latent_image')
  seed.connect(0, sampler, sampler.inputs.findIndex((i) => i.name === 'seed'))
  lora.mode = 4
  muted.mode = 2
  const schedule = fuse.widgets.find((widget) => widget.name === 'schedule')
  schedule.value = 's*'
  schedule.callback?.('s*')
  note.widgets[0].value = 'nothing to run'
  text.widgets[0].value = 'a corgi'
  load.widgets[0].value = 'example.png'
}"""


QUEUED = "app.graphToPrompt().then(({ output }) => output)"
# Saved at version 0.1.0: K-LoRA Fuse with a linked balance and one in a subgraph, no widget at its default;
# and what was queued for the two.
OLD = json.loads((REPO / "tests" / "browser" / "saved_by_0_1.json").read_text())


def test_agrees_with_the_editor(opened, info):
    opened.evaluate(BUILD)
    opened.wait_for_timeout(300)
    saved = opened.evaluate("klora.saved()")
    theirs = opened.evaluate(QUEUED)
    ours = to_api(saved, info)
    assert {"LoraLoader", "Note", "Reroute", "PrimitiveNode"} <= {node["type"] for node in saved["nodes"]}
    assert what_runs(ours) == what_runs(theirs)
    fuse = next(node["inputs"] for node in ours.values() if node["class_type"] == "KLoRAFuse")
    assert fuse["schedule"] == "s*"
    assert fuse["schedule.beta"] == 1.3
    assert ours[fuse["model"][0]]["class_type"] == "CheckpointLoaderSimple"
    assert "clip" not in fuse


def what_runs(prompt):
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


def old_fuses(workflow):
    inside = workflow["definitions"]["subgraphs"][0]["nodes"]
    return [node for node in (*workflow["nodes"], *inside) if node["type"] == "KLoRAFuse"]


@pytest.mark.parametrize("named", [True, False], ids=["named", "by place"])
def test_a_workflow_of_an_older_order_keeps_every_value(opened, named):
    workflow = copy.deepcopy(OLD["workflow"])
    for node in old_fuses(workflow):
        if not named:
            del node["widgets_values_named"]
    opened.evaluate("(graph) => app.loadGraphData(graph)", workflow)
    opened.wait_for_function(f"app.rootGraph.id === '{workflow['id']}'")
    for _ in range(2):
        queued = opened.evaluate(QUEUED)
        assert what_runs({key: queued[key] for key in OLD["prompt"]}) == what_runs(OLD["prompt"])
        # Saved by this version and loaded again, the same.
        opened.evaluate("(graph) => app.loadGraphData(graph)", opened.evaluate("klora.saved()"))


def test_a_widget_younger_than_the_file_keeps_its_default(opened):
    workflow = copy.deepcopy(OLD["workflow"])
    for node in old_fuses(workflow):
        del node["widgets_values_named"]
        node["widgets_values"] = node["widgets_values"][:10]
    opened.evaluate("(graph) => app.loadGraphData(graph)", workflow)
    queued = opened.evaluate(QUEUED)
    for key, node in OLD["prompt"].items():
        defaults = {"score": "top-k", "loser": "off", "outside": 0.5}
        assert queued[key]["inputs"] == node["inputs"] | defaults


def test_an_api_prompt_is_read_by_name(opened):
    prompt = OLD["prompt"]["17:16"]
    inputs = {key: value for key, value in prompt["inputs"].items() if not isinstance(value, list)}
    opened.evaluate("(prompt) => app.loadApiJson(prompt, 'old')", {"1": {**prompt, "inputs": inputs}})
    opened.wait_for_function("app.rootGraph.nodes.length === 1")
    assert opened.evaluate(QUEUED)["1"]["inputs"] == inputs


def test_what_may_be_left_out_keeps_its_place(opened):
    """Saved workflows hold values by place, and the page puts what must be there before what need not."""
    names = opened.evaluate("""() => {
      app.rootGraph.clear()
      const node = LiteGraph.createNode('KLoRACompose')
      app.rootGraph.add(node)
      return node.widgets.map((widget) => widget.name)
    }""")
    own = [
        "balance",
        "schedule",
        "schedule.alpha",
        "schedule.beta",
        "gamma",
        "layers",
        "score",
        "loser",
        "outside",
    ]
    wanted = ["method", *(f"method.{name}" for name in own), "other_layers", "progress"]
    assert [name for name in names if name in wanted] == wanted
