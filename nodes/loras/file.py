"""LoRA files of the host's loras folder as LORA_MODEL state dicts that remember their file."""

from __future__ import annotations

from collections.abc import Mapping

import comfy.utils
import torch
from safetensors import safe_open

from ...klora_core.errors import KLoraError, printable
from ...klora_core.files import Left, is_adapter, is_torch_file, read_torch, split, utf8_path
from ...klora_core.files.learned import is_gate
from ..host import place_of
from .proof import Stamp, belong_to, stamp_of

_SAFETENSORS = (".safetensors", ".sft")
# LoRA Manager keeps its extra folders to itself: its stacks name files in them that the host does not know.
_ELSEWHERE = (
    "If it lies in another folder, as in LoRA Manager's extra ones, add that folder under loras in ComfyUI's "
    "extra_model_paths.yaml and restart."
)


class LoraStateDict(dict):
    """A LORA_MODEL (tensor name -> tensor) with the file that it came from.

    ``metadata`` is the text that the trainer wrote into the file, empty where there is none; ``left`` what
    the file holds beside tensors.
    """

    def __init__(
        self,
        tensors: dict,
        file: str,
        metadata: Mapping[str, str] | None = None,
        left: tuple[Left, ...] = (),
    ) -> None:
        super().__init__(tensors)
        self.file = file
        self.metadata: dict[str, str] = dict(metadata or {})
        self.left = left


def stamp(name: str) -> Stamp:
    """The stamp of a file of the loras folder. Raises KLoraError where it is gone, or its name is no text."""
    return stamp_of(_place(name)[0])


def _place(name: str) -> tuple[str, str]:
    """(path, name in the folder)."""
    if not isinstance(name, str):
        raise KLoraError(
            f"a LoRA file's name must be a text, got {name!r}.", "Choose a file of the loras folder"
        )
    place = place_of("loras", name)
    if place is None:
        raise KLoraError(
            f"LoRA file {_shown(name)} is not in the loras folder. {_ELSEWHERE}",
            "Choose another LoRA, or press R to refresh",
        )
    return place


def load(name: str) -> LoraStateDict:
    """The LoRA file ``name`` of the loras folder, under the name that it has there.

    Raises KLoraError for a file that can't be read or holds no LoRA.
    """
    path, name = _place(name)
    mark = stamp_of(path)
    try:
        # Tensors of inference mode would not count what is written into them.
        with utf8_path(path) as plain, torch.inference_mode(False):
            tensors, metadata, left = _read(plain)
    except KLoraError as error:
        raise KLoraError(f"LoRA file {_shown(name)} {error.why}", error.do) from error
    except Exception as error:
        reason = printable(str(error).split("\n", 1)[0])
        raise KLoraError(
            f"LoRA file {_shown(name)} can't be read ({reason}): it is damaged or no LoRA file.",
            "Download it again",
        ) from error
    if not isinstance(tensors, dict) or not (is_gate(tensors) or any(map(_is_lora_key, tensors))):
        raise KLoraError(
            f"{_shown(name)} holds no LoRA (no lora_up/lora_down, lora_A/lora_B or similar tensors in it): "
            "it may be a checkpoint, a VAE or an embedding.",
            "Choose a LoRA file",
        )
    belong_to((tensor for tensor in tensors.values() if isinstance(tensor, torch.Tensor)), mark)
    return LoraStateDict(tensors, name, metadata, left)


def _read(path: str) -> tuple[dict[str, torch.Tensor], Mapping[str, str] | None, tuple[Left, ...]]:
    """The tensors of a file, its text, and what else it holds."""
    if is_torch_file(path):
        stored = read_torch(path)
        return stored.tensors, None, stored.left
    if not path.lower().endswith(_SAFETENSORS):
        # The host would take it for one of torch's, by its name.
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata(), ()  # noqa: SIM118
    return (*comfy.utils.load_torch_file(path, safe_load=True, return_metadata=True), ())


def name_of(lora: dict, role: str) -> str:
    """What to call a LORA_MODEL in messages: its file, or its role where it never was a file."""
    file = getattr(lora, "file", None)
    return printable(file) if file else f"{role} LoRA"


def _shown(name: str) -> str:
    return f"'{printable(name)}'"


def _is_lora_key(key: object) -> bool:
    found = split(key) if isinstance(key, str) else None
    return found is not None and is_adapter(found[1])
