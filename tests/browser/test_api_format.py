"""The headless converter gives the prompt that the editor itself would queue."""

from __future__ import annotations

import pytest

from tests.browser.live_page import page
from tools.api_format import to_api

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


@pytest.mark.parametrize("vue", [False, True], ids=["classic", "vue"])
def test_agrees_with_the_editor(chromium, server, vue):
    with page(chromium, server, VueNodes__Enabled=vue) as opened:
        opened.evaluate(BUILD)
        opened.wait_for_timeout(300)
        saved = opened.evaluate("app.rootGraph.serialize()")
        theirs = opened.evaluate("app.graphToPrompt().then(({ output }) => output)")
        ours = to_api(saved, server.object_info())
    assert {"LoraLoader", "Note", "Reroute", "PrimitiveNode"} <= {node["type"] for node in saved["nodes"]}
    assert what_runs(ours) == what_runs(theirs)
    fuse = next(node["inputs"] for node in ours.values() if node["class_type"] == "KLoRAFuse")
    assert fuse["schedule"] == "s*"
    assert fuse["schedule.beta"] == 1.3
    assert ours[fuse["model"][0]]["class_type"] == "CheckpointLoaderSimple"
    assert "clip" not in fuse


def what_runs(prompt):
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}
