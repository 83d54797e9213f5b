"""The ComfyUI side of the pack: thin V3 nodes over klora_core. Imported by a running ComfyUI only."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .compose import KLoRACompose
from .fuse import KLoRAFuse
from .host import serve_page
from .learn import KLoRAPickAndLearn, KLoRAPickLoras, KLoRATrainLora, KLoRATrainMerge
from .load import KLoRALoadLora, KLoRALoadPair
from .lora_set import KLoRASet
from .loras import serve_info, serve_previews
from .merge import KLoRAMerge
from .selection_map import KLoRASelectionMap
from .sweep import KLoRASweep
from .toy import KLoRAToyWords


class KLoRAExtension(ComfyExtension):
    """The pack's nodes."""

    async def on_load(self) -> None:
        """Called by the host before it asks for the nodes."""
        serve_info()
        serve_previews()
        serve_page()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            KLoRALoadLora,
            KLoRALoadPair,
            KLoRAFuse,
            KLoRASelectionMap,
            KLoRASweep,
            KLoRASet,
            KLoRACompose,
            KLoRAMerge,
            KLoRAPickLoras,
            KLoRATrainLora,
            KLoRATrainMerge,
            KLoRAPickAndLearn,
            KLoRAToyWords,
        ]
