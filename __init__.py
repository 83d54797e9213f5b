"""K-LoRA for ComfyUI: fuse any subject LoRA with any style LoRA, without training."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> object:
    """ComfyUI's V3 entry point. Imports the nodes here, so that the pack imports where ComfyUI is absent."""
    from .nodes import KLoRAExtension

    return KLoRAExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
