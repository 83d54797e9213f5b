"""That a file made of a fused model lacks the fusion: hooks are no weights, and no node saves them."""

from __future__ import annotations

import logging
import weakref
from typing import Any

from comfy.patcher_extension import CallbacksMP

_LOG = logging.getLogger("klora")
_KEY = "klora/saving"
NOT_SAVED = (
    "The fusion is kept by the workflow, not by the model: CheckpointSave, ModelSave, LoraSave and "
    "ModelMerge don't hold it. Share the workflow and the LoRA files to share it."
)
# By the host's way to a model's weights, under a prefix: those who ask so make something else of them.
_READ = {
    "model_state_dict": "a LoRA that is saved of this model will not hold the fusion: it is zero there.",
    "get_key_patches": "what another model takes over or subtracts of this one will not hold the fusion.",
}


def warn_on_save(model: Any) -> None:
    """Make ``model``, a ModelPatcher, and its clones say in the log what lacks the fusion."""
    inner = model.get_model_object("state_dict_for_saving")

    def saving(*args: Any, **kwargs: Any) -> Any:
        _LOG.warning("K-LoRA: this file will not hold the fusion. %s", NOT_SAVED)
        return inner(*args, **kwargs)

    model.add_object_patch("state_dict_for_saving", saving)
    _watch(None, model)
    model.remove_callbacks_with_key(CallbacksMP.ON_CLONE, _KEY)
    model.add_callback_with_key(CallbacksMP.ON_CLONE, _KEY, _watch)


def _watch(_: Any, patcher: Any) -> None:
    for name, said in _READ.items():
        setattr(patcher, name, _reading(weakref.ref(patcher), name, said))


def _reading(patcher: weakref.ref[Any], name: str, said: str) -> Any:
    # A weak reference: the host counts on a patcher to go with its last user.
    def read(filter_prefix: str | None = None, **kwargs: Any) -> Any:
        own = patcher()
        if filter_prefix is not None:
            _LOG.warning("K-LoRA: %s %s", said, NOT_SAVED)
        return getattr(type(own), name)(own, filter_prefix, **kwargs)

    return read
