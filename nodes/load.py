"""The two loader nodes: LoRA files in, LORA_MODEL out."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .loras import load, of_lora, stamp


def _stamps(*names: str | None) -> object:
    known = [stamp(name) for name in names if name is not None]
    # A name that comes by a wire is not known yet, nor whether its file has changed: equal to nothing.
    return tuple(known) if len(known) == len(names) else float("nan")


def _choice(id: str, tooltip: str, nth: int = 0) -> io.Combo.Input:
    """A file of the loras folder; a node that is added by hand begins with the nth."""
    files = folder_paths.get_filename_list("loras")
    first = files[min(nth, len(files) - 1)] if files else None
    return io.Combo.Input(id, options=files, default=first, tooltip=tooltip)


class KLoRALoadLora(io.ComfyNode):
    """Load one LoRA file without applying it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRALoadLora",
            display_name="Load LoRA for Fusion",
            category="K-LoRA",
            description="Loads one LoRA without applying it, for K-LoRA Fuse or other LoRA model inputs.",
            search_aliases=["lora loader", "load lora", "klora"],
            inputs=[_choice("lora_name", "A file of your loras folder.")],
            outputs=[
                io.LoraModel.Output("lora", tooltip="The LoRA, not applied to anything yet."),
                io.String.Output(
                    "trigger_words", tooltip="The words it was trained on, if its file says them."
                ),
                io.String.Output(
                    "base_model", tooltip="The base model that it was made for, if its file tells."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, lora_name: str | None) -> object:
        return _stamps(lora_name)

    @classmethod
    def execute(cls, lora_name: str) -> io.NodeOutput:
        lora = load(lora_name)
        told = of_lora(lora)
        return io.NodeOutput(lora, told["trigger_words"], told["base_model"])


class KLoRALoadPair(io.ComfyNode):
    """Load the two LoRA files of a fusion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="KLoRALoadPair",
            display_name="Load Subject + Style LoRA",
            category="K-LoRA",
            description="Loads the two LoRAs of a fusion: who or what is shown, and how it is drawn.",
            search_aliases=[
                "klora",
                "two loras",
                "lora pair",
                "subject style",
                "character lora",
                "style lora",
            ],
            inputs=[
                _choice("subject_lora", "The LoRA of your character, person or object."),
                _choice(
                    "style_lora", "The LoRA of the style to show it in, made for the same base model.", nth=1
                ),
            ],
            outputs=[
                io.LoraModel.Output("subject", tooltip="Connect to subject of K-LoRA Fuse."),
                io.LoraModel.Output("style", tooltip="Connect to style of K-LoRA Fuse."),
                io.String.Output(
                    "subject_words", tooltip="The words the subject was trained on, if its file says them."
                ),
                io.String.Output(
                    "style_words", tooltip="The words the style was trained on, if its file says them."
                ),
                io.String.Output(
                    "base_model", tooltip="The base model that they were made for; both, where they differ."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, subject_lora: str | None, style_lora: str | None) -> object:
        return _stamps(subject_lora, style_lora)

    @classmethod
    def execute(cls, subject_lora: str, style_lora: str) -> io.NodeOutput:
        loras = [load(name) for name in (subject_lora, style_lora)]
        told = [of_lora(lora) for lora in loras]
        bases = dict.fromkeys(each["base_model"] for each in told if each["base_model"])
        words = [each["trigger_words"] for each in told]
        return io.NodeOutput(*loras, *words, " / ".join(bases))
