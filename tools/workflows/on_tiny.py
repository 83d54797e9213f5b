"""Runs a shipped workflow on tiny models: the same graph, other files, few steps, a small image."""

from __future__ import annotations

from typing import Any

from .families import SDXL, TOY

TINY_FILES = {
    "v1-5-pruned-emaonly-fp16.safetensors": "tiny-sd15.safetensors",
    "sd_xl_base_1.0.safetensors": "tiny-sdxl.safetensors",
    "flux1-dev.safetensors": "tiny-flux.safetensors",
    "z_image_turbo_bf16.safetensors": "tiny-zimage.safetensors",
    "ae.safetensors": "tiny-ae.safetensors",
    "sd_xl_refiner_1.0.safetensors": "tiny-refiner.safetensors",
    "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": "tiny-wan-high.safetensors",
    "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors": "tiny-wan-low.safetensors",
    "wan_2.1_vae.safetensors": "tiny-wan-vae.safetensors",
    "small-world-sd3.safetensors": "tiny-toy.safetensors",
    "small-world-taesd.safetensors": "tiny-toy-vae.safetensors",
}
"""The tiny file for each model file's name in the shipped workflows."""
_FRAMES = 5
_RULES = "sum 0.7, K-LoRA s -0.5, Arrow N"
_SIDES = ("width", "height", "cell_width", "cell_height")
_LORA_INPUTS = ("lora_name", "subject_lora", "style_lora")


def shrink(prompt: dict[str, Any], steps: int, side: int) -> dict[str, Any]:
    """Change an API-format prompt in place to tiny files, `steps` steps and `side` pixels; returns it."""
    family = _family(prompt)
    for node in prompt.values():
        inputs = node["inputs"]
        inputs |= {key: TINY_FILES[value] for key, value in inputs.items() if str(value) in TINY_FILES}
        inputs |= {key: side for key in _SIDES if key in inputs}
        if node["class_type"].startswith("KLoRALoad"):
            inputs |= {key: _lora(inputs[key], family) for key in _LORA_INPUTS if key in inputs}
        if node["class_type"] == "KLoRAPickLoras":
            # Nothing in a tiny file tells its base model.
            inputs["folder"] = f"tiny-*-{family}.safetensors"
        if "method.steps" in inputs:
            inputs["method.steps"] = steps
        if node["class_type"] == "KLoRAPickAndLearn":
            inputs |= {"pictures": 1, "learning_steps": steps, "rules": _RULES}
        if "length" in inputs:
            inputs["length"] = _FRAMES
        if node["class_type"] == "PrimitiveInt":
            inputs["value"] = _number(inputs["value"], node["_meta"]["title"], steps)
    return prompt


def _family(prompt: dict[str, Any]) -> str:
    """The family of the first base model in the prompt."""
    names = (node["inputs"].get(key) for node in prompt.values() for key in ("ckpt_name", "unet_name"))
    tiny = next(TINY_FILES[name] for name in names if name in TINY_FILES)
    return tiny.removesuffix(".safetensors").split("-")[1]


def _number(value: int, title: str, steps: int) -> int:
    """Fewer steps, and the second of two parts from the middle on."""
    return steps if title == "Steps" else steps // 2 if title.endswith("from") else value


def _lora(name: str, family: str) -> str:
    """The tiny LoRA in the place of one that is offered, or of the words where the user is to choose."""
    subjects = [family.subject.name for family in (SDXL, TOY) if family.subject]
    role = "subject" if "subject" in name or name in subjects else "style"
    second = "2" if "second" in name or "low noise" in name else ""
    return f"tiny-{role}{second}-{family}.safetensors"
