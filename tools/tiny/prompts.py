"""Runs a shipped workflow on tiny models: the same graph, other files, few steps, a small image."""

from __future__ import annotations

from typing import Any

TINY_FILES = {
    "v1-5-pruned-emaonly-fp16.safetensors": "tiny-sd15.safetensors",
    "sd_xl_base_1.0.safetensors": "tiny-sdxl.safetensors",
    "flux1-dev.safetensors": "tiny-flux.safetensors",
    "z_image_turbo_bf16.safetensors": "tiny-zimage.safetensors",
    "ae.safetensors": "tiny-ae.safetensors",
    "style2-sd15.safetensors": "tiny-style2-sd15.safetensors",
} | {
    f"{role}-{family}.safetensors": f"tiny-{role}-{family}.safetensors"
    for role in ("subject", "style")
    for family in ("sd15", "sdxl", "flux", "zimage")
}
"""The tiny file for each file name in the shipped workflows."""


def shrink(prompt: dict[str, Any], steps: int, side: int) -> dict[str, Any]:
    """Change an API-format prompt in place to tiny files, `steps` steps and `side` pixels; returns it."""
    for node in prompt.values():
        inputs = node["inputs"]
        inputs |= {key: TINY_FILES[value] for key, value in inputs.items() if str(value) in TINY_FILES}
        inputs |= {key: side for key in ("width", "height") if key in inputs}
        if node["class_type"] == "PrimitiveInt":
            inputs["value"] = steps
    return prompt
