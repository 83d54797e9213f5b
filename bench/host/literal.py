"""The published algorithm as written: scores and a dense weight change in every forward of every layer.

For comparison only. In each forward of a layer: both products up @ down, the K largest of each, their sums,
the comparison (Eq. 10), and the winner's dense matrix applied to the input. Only gamma (Eq. 9) is found
before the run, as in the published code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from comfy.patcher_extension import PatcherInjection, WrappersMP
from torch import Tensor

_KEY = "bench/literal"
_ALPHA, _BETA = 1.5, 0.5
Pair = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]


class Literal:
    """K-LoRA by its definition on a model. One step's progress is x = (i + 1/2) / T."""

    def __init__(self, layers: list[str], loras: Pair, device: torch.device, dtype: torch.dtype) -> None:
        self._factors = {
            name: [
                tuple(
                    lora[f"diffusion_model.{name}.lora_{part}.weight"].to(device, dtype)
                    for part in ("B", "A")
                )
                for lora in loras
            ]
            for name in layers
        }
        subject, style = (
            sum(float((f[i][0].float() @ f[i][1].float()).abs().sum()) for f in self._factors.values())
            for i in (0, 1)
        )
        self._gamma = subject / style
        self._scale = 0.0
        self._handles: list[Any] = []

    def apply(self, model: Any, steps: int) -> Any:
        """A clone of ``model``, a ModelPatcher, that follows the algorithm for runs of ``steps`` steps."""
        step = -1

        def count(executor: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal step
            step = (step + 1) % steps
            self._scale = _ALPHA * (step + 0.5) / steps + _BETA
            return executor(*args, **kwargs)

        patched = model.clone()
        patched.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, _KEY, count)
        patched.set_injections(_KEY, [PatcherInjection(self._inject, self._eject)])
        return patched

    def _inject(self, patcher: Any) -> None:
        self._eject(patcher)
        for name in self._factors:
            module = patcher.model.diffusion_model.get_submodule(name)
            self._handles.append(module.register_forward_hook(self.hook(name)))

    def _eject(self, patcher: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def hook(self, name: str) -> Any:
        """What the layer ``name`` does after its own product."""

        def hook(module: Any, args: tuple, output: Tensor) -> Tensor:
            (up, down), (up_style, down_style) = self._factors[name]
            k = up.shape[1] * up_style.shape[1]
            subject, style = up @ down, up_style @ down_style
            score_subject = subject.abs().flatten().topk(k).values.sum()
            score_style = style.abs().flatten().topk(k).values.sum()
            won = score_subject >= self._gamma * self._scale * score_style
            return output + F.linear(args[0], subject if won else style)

        return hook
