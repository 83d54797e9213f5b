"""The subgraph blueprint: found in the page's search, put into a graph, wired and run."""

from __future__ import annotations

import json

from tests.support.browser.live_page import CLASSIC, SHOTS, renewed, run
from tools.workflows.blueprint import NAME, PATH, build
from tools.workflows.editor.host_nodes import HostNodes

WIRE = """() => {
  const graph = app.rootGraph
  const add = (type, x, y) => {
    const node = LiteGraph.createNode(type)
    node.pos = [x, y]
    graph.add(node)
    return node
  }
  const set = (node, values) => {
    for (const [name, value] of Object.entries(values))
      node.widgets.find((widget) => widget.name === name).value = value
  }
  const wire = (from, slot, to, input) => from.connect(slot, to, to.inputs.findIndex((i) => i.name === input))
  const fused = graph.nodes.find((node) => node.isSubgraphNode())
  fused.pos = [400, 100]
  const model = add('CheckpointLoaderSimple', 0, 100), text = add('CLIPTextEncode', 800, 100)
  const size = add('EmptyLatentImage', 800, 400), sampler = add('KSampler', 1200, 100)
  const decode = add('VAEDecode', 1600, 100), save = add('PreviewImage', 1600, 300)
  set(model, { ckpt_name: 'tiny-sd15.safetensors' })
  set(fused, {
    subject_lora: 'tiny-subject-sd15.safetensors', style_lora: 'tiny-style-sd15.safetensors', balance: 0.25,
  })
  set(size, { width: 64, height: 64 })
  set(sampler, { steps: 2 })
  wire(model, 0, fused, 'model')
  wire(model, 1, fused, 'clip')
  wire(fused, 0, sampler, 'model')
  wire(fused, 1, text, 'clip')
  wire(text, 0, sampler, 'positive')
  wire(text, 0, sampler, 'negative')
  wire(size, 0, sampler, 'latent_image')
  wire(sampler, 0, decode, 'samples')
  wire(model, 2, decode, 'vae')
  wire(decode, 0, save, 'images')
}"""
SOCKETS = """() => {
  const { inputs, outputs, widgets } = app.rootGraph.nodes.find((node) => node.isSubgraphNode())
  return [inputs, outputs, widgets].map((items) => items.map(({ name }) => name))
}"""


def test_the_file_is_what_the_tool_writes_and_what_the_host_lists(server, info):
    assert json.loads(PATH.read_text(encoding="utf-8")) == build(HostNodes(info))
    listed = [entry for entry in server.get("/global_subgraphs").values() if "k-lora" in str(entry["info"])]
    assert [entry["name"] for entry in listed] == [NAME]


@CLASSIC
def test_it_is_found_wired_and_run(window):
    opened = window
    with renewed(opened, height=920):
        opened.evaluate("app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
        opened.wait_for_timeout(500)
        opened.keyboard.type("two files in")
        opened.get_by_text(NAME).first.wait_for()
        opened.keyboard.press("Enter")
        opened.wait_for_function("app.rootGraph.nodes.some((node) => node.isSubgraphNode())")
        # It hangs on the pointer until it is put down.
        opened.mouse.move(690, 490)
        opened.wait_for_timeout(500)
        opened.mouse.click(700, 500)
        assert opened.evaluate(SOCKETS) == [
            ["model", "clip", "subject_lora", "style_lora", "balance"],
            ["model", "clip", "report"],
            ["subject_lora", "style_lora", "balance"],
        ]
        opened.evaluate(WIRE)
        opened.wait_for_timeout(500)
        prompt = opened.evaluate("app.graphToPrompt().then(({ output }) => output)")
        inputs = {node["class_type"]: node["inputs"] for node in prompt.values()}
        assert inputs["KLoRALoadPair"]["subject_lora"] == "tiny-subject-sd15.safetensors"
        assert inputs["KLoRAFuse"]["balance"] == 0.25
        assert inputs["KLoRAFuse"]["schedule"] == "s"
        run(opened)
        SHOTS.mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=SHOTS / "blueprint.png")
