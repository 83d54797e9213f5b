"""Custom nodes for tests: loaders of what the host fixes at gigabytes, shrunk to fit a test machine.

The shipped workflows are executed with these nodes in the places of the host's loaders. Everything else in
them is the real thing. `text` is what the text encoders share.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .flux_text import TinyFluxText
from .sdxl import TinySDXL
from .two_parts import TinyRefiner, TinyWanText, Words
from .z_image import TinyZImage, TinyZImageText, load_model


class _Extension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [TinyFluxText, TinyZImage, TinyZImageText, TinyWanText, TinyRefiner, TinySDXL]


async def comfy_entrypoint() -> ComfyExtension:
    """The host's entry point."""
    return _Extension()
