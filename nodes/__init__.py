"""The ComfyUI side of the pack: thin V3 nodes over klora_core. Imported by a running ComfyUI only."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import lora_info, page_sets
from .compose import KLoRACompose
from .fuse import KLoRAFuse
from .load import KLoRALoadLora, KLoRALoadPair
from .lora_set import KLoRASet
from .merge import KLoRAMerge
from .selection_map import KLoRASelectionMap


class KLoRAExtension(ComfyExtension):
    """The pack's nodes."""

    async def on_load(self) -> None:
        """Called by the host before it asks for the nodes."""
        lora_info.serve()
        page_sets.serve()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            KLoRALoadLora,
            KLoRALoadPair,
            KLoRAFuse,
            KLoRASelectionMap,
            KLoRASet,
            KLoRACompose,
            KLoRAMerge,
        ]
