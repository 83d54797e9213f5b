"""Whether torch.compile has to do with a model."""

from __future__ import annotations

import sys

from torch import nn


def is_compiled(model: nn.Module) -> bool:
    """Whether torch.compile runs the model or a part of it."""
    # Never imported here: torch brings it in, slowly, once something is compiled.
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    return dynamo is not None and any(
        isinstance(m, dynamo.OptimizedModule) or m._compiled_call_impl is not None for m in model.modules()
    )
