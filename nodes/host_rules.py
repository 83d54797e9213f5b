"""What ComfyUI has to say about the layers of its models, for the side path."""

from __future__ import annotations

from typing import Any

import comfy.ops

from ..klora_core.apply import HostRules

_OPS = comfy.ops.disable_weight_init
_PLAIN = (_OPS.Linear, _OPS.Conv1d, _OPS.Conv2d, _OPS.Conv3d)


def _as_it_lies(module: Any) -> bool:
    # The host casts, moves or patches this weight on its way into the product otherwise.
    return not (module.comfy_cast_weights or module.weight_function or module.bias_function)


RULES = HostRules(frozenset(kind.forward for kind in _PLAIN), _as_it_lies)
