"""Shipped workflows on tiny models in a real server."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from tests.support.host.http_graphs import write_broken_loras
from tools.host.api_format import to_api
from tools.host.server import Run, Server
from tools.serving import serving
from tools.tiny import loras, model_path
from tools.workflows.on_tiny import shrink
from tools.workflows.shipped import path_of

TEST_NODES = Path(__file__).parent / "nodes_for_tests"
STEPS, SIDE = 4, 64
README_LORAS = {"my_dog.safetensors": "subject", "my_style.safetensors": "style"}
"""The files that the README's script names."""
_CHECKPOINTS = {
    "tiny-refiner.safetensors": "KLoRATestTinyRefiner",
    "tiny-sdxl.safetensors": "KLoRATestTinySDXL",
}


@contextlib.contextmanager
def serving_all(folder: Path) -> Iterator[Server]:
    """A server with every tiny family; in `folder` LoRAs that only workflows, README or tests name."""
    families = ("sd15", "sdxl", "flux", "zimage", "wan", "refiner", "toy")
    loras.write_lightning(folder)
    write_broken_loras(folder)
    loras.ensure(["sd15"])
    for name, role in README_LORAS.items():
        (folder / name).symlink_to(model_path("loras", f"tiny-{role}-sd15.safetensors"))
    with serving(*families, extra_nodes=[TEST_NODES], loras=folder) as running:
        yield running


def tiny(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt on tiny models, with the nodes that no tiny file can stand in for replaced."""
    for node in shrink(prompt, STEPS, SIDE).values():
        node["class_type"] = _stand_in(node["class_type"], node["inputs"])
        if node["class_type"] == "ImageScaleToTotalPixels":
            node["inputs"]["megapixels"] = 0.01  # the least it takes
    return prompt


def _stand_in(kind: str, inputs: dict[str, Any]) -> str:
    if kind == "DualCLIPLoader":
        return "KLoRATestTinyFluxText"
    if kind == "CLIPLoader":
        return "KLoRATestTinyWanText" if inputs["type"] == "wan" else "KLoRATestTinyZImageText"
    if inputs.get("unet_name") == "tiny-zimage.safetensors":
        return "KLoRATestTinyZImage"
    return _CHECKPOINTS.get(str(inputs.get("ckpt_name")), kind)


def api(server: Server, name: str) -> dict[str, Any]:
    """A shipped workflow on tiny models, in the API format."""
    workflow = json.loads(path_of(name).read_text(encoding="utf-8"))
    return tiny(to_api(workflow, server.object_info()))


def execute(server: Server, name: str) -> tuple[dict[str, Any], dict[str, str], Run]:
    """Run a shipped workflow; the prompt, a node's key by its kind, and the run."""
    prompt = api(server, name)
    run = server.run(prompt)
    assert run.error is None, run.error
    return prompt, {node["class_type"]: key for key, node in prompt.items()}, run


def picture(server: Server, run: Run, node: str) -> Image.Image:
    """The one image that a node saved."""
    (shown,) = run.images(node)
    return Image.open(io.BytesIO(server.image(shown))).convert("RGB")


def painted(server: Server, run: Run, node: str) -> Image.Image:
    """The same, of a node whose image is a picture: of many colours."""
    image = picture(server, run, node)
    assert len(image.getcolors(image.size[0] * image.size[1])) > 100
    return image


def said(prompt: dict[str, Any], run: Run) -> str:
    """All texts that the nodes of a prompt show."""
    return "\n".join(text for key in prompt for text in run.texts(key))
