"""A model of its own to learn on: the file loaded once more, released whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import torch

from ...klora_core.errors import KLoraError, printable

_LOAD_IT = "Load the checkpoint with Load Checkpoint or Load Diffusion Model, and connect that model"


@contextmanager
def second_model(model: Any, memory: float = 0.0) -> Iterator[Any]:
    """A ModelPatcher of the same file and the same ordinary patches as ``model``, whole on the device.

    Its weights are frozen and nobody else has them; ``memory`` bytes are kept free beside them. While it is
    there the host knows that it trains. Raises KLoraError for a model that can't be loaded a second time.
    """
    check(model)
    with torch.inference_mode(False):
        second = _loaded_again(model)
    try:
        with torch.inference_mode(False), _in_training():
            second.model.requires_grad_(False).eval()
            # Partly loaded layers share the buffer that they are cast in, which a graph would still need.
            comfy.model_management.load_models_gpu([second], memory_required=memory, force_full_load=True)
            second.pre_run()
            yield second
    finally:
        with torch.inference_mode(False):
            _release(second)


def check(model: Any) -> None:
    """Raises KLoraError, with what to do, for a model that can't be learned on."""
    if any(hasattr(parameter, "tensor_type") for parameter in model.model.parameters()):
        raise KLoraError(
            f"a GGUF model can't be trained through. {_LOAD_IT}.",
            "Use a safetensors version of the checkpoint (fp8, bf16 or fp16)",
        )
    if getattr(model, "cached_patcher_init", None) is None:
        raise KLoraError(
            "learning needs the model a second time, and the node that loaded this one does not tell "
            "ComfyUI how to load it again.",
            _LOAD_IT,
        )
    keys = [str(key) for wrappers in model.wrappers.values() for key in wrappers]
    if any(key.startswith("klora/") for key in keys):
        raise KLoraError(
            "what they do while sampling can't be learned on.",
            "Connect the model from before K-LoRA Fuse or Compose LoRAs",
        )
    if model.injections:
        # Such as the host's Load LoRA (Bypass): they change the modules of the first model alone.
        names = ", ".join(map(printable, model.injections))
        raise KLoraError(
            "that can't be learned on.",
            f"Connect the model from before what is put on it while sampling ({names})",
        )


def _loaded_again(model: Any) -> Any:
    try:
        second = model.clone(disable_dynamic=True, force_deepcopy=True)
    except OSError as error:
        raise KLoraError(
            "learning needs the model's file a second time, and it can't be read any more "
            f"({printable(error)}).",
            _LOAD_IT,
        ) from error
    # The host would take the first model for what is loaded when this one goes.
    second.parent = None
    # What other nodes run round a sampling belongs to the first one's runs.
    second.wrappers, second.callbacks, second.injections, second.additional_models = {}, {}, {}, {}
    second.model_options = {"transformer_options": _patches_of(second.model_options)}
    second.is_injected = False
    second.set_model_compute_dtype(_computed_in(second))
    return second


def _computed_in(second: Any) -> torch.dtype:
    """Half precision has no room for gradients; said aloud, so that no fused kernel without any is chosen."""
    usual = second.model.get_dtype_inference()
    if usual != torch.float16:
        return usual
    has_bf16 = comfy.model_management.should_use_bf16(second.load_device)
    return torch.bfloat16 if has_bf16 else torch.float32


def _patches_of(options: dict) -> dict:
    inner = options.get("transformer_options", {})
    return {key: value for key, value in inner.items() if key not in ("wrappers", "callbacks")}


@contextmanager
def _in_training() -> Iterator[None]:
    """The host's networks leave out then what has no gradient, or would give a wrong one."""
    before = comfy.model_management.in_training
    comfy.model_management.in_training = True
    try:
        yield
    finally:
        comfy.model_management.in_training = before


def _release(second: Any) -> None:
    second.cleanup()
    for loaded in list(comfy.model_management.current_loaded_models):
        if loaded.model is second:
            loaded.model_unload()
            comfy.model_management.current_loaded_models.remove(loaded)
    for parameter in second.model.parameters():
        parameter.grad = None
    gc.collect()
    comfy.model_management.soft_empty_cache()
