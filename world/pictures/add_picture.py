"""Photographs what to change in a workflow that one already has, for the README.

`python -m world.pictures.add_picture` rewrites assets/add.jpg: a plain text-to-image graph, with the two
nodes put between its loader and its sampler.
"""

from __future__ import annotations

import io

from PIL import Image

from tests.support.browser.live_page import browser, page
from tools.host.find import REPO
from tools.serving import serving
from world.pictures.files import LARGE, save

PICTURE = REPO / "assets" / "add.jpg"
BUILD = """async () => {
  app.graph.clear()
  const add = (type, pos, title) => {
    const node = LiteGraph.createNode(type)
    node.pos = pos
    if (title) node.title = title
    app.graph.add(node)
    return node
  }
  const wire = (from, output, to, input) =>
    from.connect(from.findOutputSlot(output), to, to.findInputSlot(input))
  const loader = add('CheckpointLoaderSimple', [30, 60])
  const pair = add('KLoRALoadPair', [30, 260])
  const fuse = add('KLoRAFuse', [430, 60])
  const prompt = add('CLIPTextEncode', [870, 60], 'Prompt')
  const avoid = add('CLIPTextEncode', [870, 300], 'Avoid')
  const latent = add('EmptyLatentImage', [870, 540])
  const sampler = add('KSampler', [1310, 60])
  wire(loader, 'MODEL', fuse, 'model')
  wire(loader, 'CLIP', fuse, 'clip')
  wire(pair, 'subject', fuse, 'subject')
  wire(pair, 'style', fuse, 'style')
  wire(fuse, 'clip', prompt, 'clip')
  wire(fuse, 'clip', avoid, 'clip')
  wire(fuse, 'model', sampler, 'model')
  wire(prompt, 'CONDITIONING', sampler, 'positive')
  wire(avoid, 'CONDITIONING', sampler, 'negative')
  wire(latent, 'LATENT', sampler, 'latent_image')
  // Files that are there: the page frames nodes in red whose files are missing.
  pair.widgets[0].value = 'tiny-subject-sd15.safetensors'
  pair.widgets[1].value = 'tiny-style-sd15.safetensors'
  prompt.widgets[0].value = 'photo of sks dog, in the style of xyz'
  const { ds, canvas } = app.canvas
  ds.scale = 0.86
  ds.offset = [50, 80]
  app.canvas.setDirty(true, true)
}"""


def main() -> None:
    """One picture."""
    settings = {"Minimap__Visible": False, "Graph__CanvasInfo": False}
    with serving("sd15") as server, browser() as chromium, page(chromium, server, **settings) as opened:
        opened.evaluate(BUILD)
        opened.wait_for_timeout(2500)
        shot = opened.screenshot(clip={"x": 60, "y": 40, "width": 1440, "height": 600})
    save(Image.open(io.BytesIO(shot)).convert("RGB"), PICTURE, LARGE)


if __name__ == "__main__":
    main()
