"""A development-only node for ComfyUI: words of the small world to CONDITIONING. Never in the published pack.

ComfyUI fixes the sizes of real text encoders, so the small world has none: captions are fixed vectors
of their words.
"""

from __future__ import annotations

import sys
from pathlib import Path

from comfy_api.latest import ComfyExtension, io

# Behind everything else: the host has modules called as folders of this repository are.
_REPO = str(Path(__file__).resolve().parents[2])
if _REPO not in sys.path:
    sys.path.append(_REPO)

from world.draw.words import LENGTH, encode
from world.pairs import PAIRS


class SmallWorldWords(io.ComfyNode):
    """Words to CONDITIONING."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRASmallWorldWords",
            display_name="Small World Words",
            category="K-LoRA/development",
            description=f"Up to {LENGTH} words: a style, then what is shown, as in `flat polar bear`.",
            inputs=[io.String.Input("words", default=PAIRS[0].prompt)],
            outputs=[io.Conditioning.Output()],
        )

    @classmethod
    def execute(cls, words: str) -> io.NodeOutput:
        context, pooled = encode(words)
        return io.NodeOutput([[context, {"pooled_output": pooled}]])


class _Extension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [SmallWorldWords]


async def comfy_entrypoint() -> ComfyExtension:
    """The host's entry point."""
    return _Extension()
