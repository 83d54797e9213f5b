"""What ComfyUI has to say about the layers of its models, for the side path."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.ops
from torch import Tensor

from ...klora_core.apply import HostRules
from .calls import calls

_OPS = comfy.ops.disable_weight_init
_PLAIN = (_OPS.Linear, _OPS.Conv1d, _OPS.Conv2d, _OPS.Conv3d)


def _as_it_lies(module: Any) -> bool:
    # The host casts, moves or patches this weight on its way into the product otherwise.
    return not (module.comfy_cast_weights or module.weight_function or module.bias_function)


def _bias(module: Any, x: Tensor) -> Tensor:
    """The bias that the layer adds to its product with ``x``, cast, patched and moved as the host does."""
    own = getattr(module, "cast_bias_weight", None)
    if own is not None:
        # GGUF's layers.
        return own(x)[1]
    if hasattr(module, "_v"):
        # Dynamic memory: weight and bias come together, in a buffer that is used again.
        weight, bias, stream = comfy.ops.cast_bias_weight(module, x, offloadable=True)
        bias = bias.clone()
        comfy.ops.uncast_bias_weight(module, weight, bias, stream)
        return bias
    functions = getattr(module, "bias_function", ())
    bias = comfy.model_management.cast_to(module.bias, x.dtype, x.device, copy=bool(functions))
    for function in functions:
        bias = function(bias)
    return bias


RULES = HostRules(frozenset(kind.forward for kind in _PLAIN), _as_it_lies, _bias, calls)
