"""K-LoRA for ComfyUI: fuse any subject LoRA with any style LoRA, without training."""

import importlib.util
import logging
import re

WEB_DIRECTORY = "./web"
OLDEST_HOST = (0, 33, 0)


def _too_old() -> str | None:
    """What to say to a ComfyUI that lacks what the nodes use; None for one that has it, and where none is."""
    try:
        from comfyui_version import __version__ as found
    except ImportError:
        return None
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:3])
    if numbers >= OLDEST_HOST:
        return None
    needed = ".".join(map(str, OLDEST_HOST))
    return f"K-LoRA needs ComfyUI {needed} or newer, this is {found}: update ComfyUI."


async def comfy_entrypoint() -> object:
    """ComfyUI's V3 entry point. Imports the nodes here, so that the pack imports where ComfyUI is absent."""
    # The host logs the message in one line.
    if message := _too_old():
        raise RuntimeError(message)
    from .nodes import KLoRAExtension

    return KLoRAExtension()


# A ComfyUI from before V3 never calls the entry point, and says only that it found no nodes.
if (_message := _too_old()) is not None and importlib.util.find_spec("comfy_api") is None:
    logging.getLogger("klora").warning(_message)

__all__ = ["OLDEST_HOST", "WEB_DIRECTORY", "comfy_entrypoint"]
