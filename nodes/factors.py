"""The buffers of the side path: for each slot the factors of the LoRA that is active there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..klora_core.deltas import Delta, LowRank

NOBODY = -1


@dataclass(frozen=True, eq=False)
class Lane:
    """A slot of the side path: rows of a layer's output and the deltas that may be added there.

    ``layer`` is the module's name below the model, ``rows`` (start, length) of its output features or
    None for all, ``candidates`` the deltas by LoRA (None: adds nothing), ``strengths`` theirs.
    """

    layer: str
    rows: tuple[int, int] | None
    candidates: tuple[Delta | None, ...]
    strengths: tuple[float, ...]

    @property
    def low_rank(self) -> bool:
        return all(isinstance(delta, LowRank) for delta in self.candidates if delta is not None)

    @property
    def rank(self) -> int:
        """Columns that a buffer needs: the larger rank of the candidates."""
        return max(delta.rank for delta in self.candidates if delta is not None)

    @property
    def shape(self) -> tuple[int, int]:
        return next(delta.shape for delta in self.candidates if delta is not None)


class Factors(nn.Module):
    """One buffer pair a lane, overwritten in place at a switch, so that tensors keep their identity.

    Low-rank lanes hold ``up`` [out, r] and ``down`` [r, n], zero-padded to the larger rank; a lane with a
    dense candidate holds one matrix [out, n]. An nn.Module, so that the host can count and move it.
    """

    def __init__(self, lanes: tuple[Lane, ...], dtype: torch.dtype) -> None:
        super().__init__()
        self.lanes = lanes
        # Inference tensors could not be overwritten by a sampler that runs outside inference mode.
        with torch.inference_mode(False):
            for i, lane in enumerate(lanes):
                out, n = lane.shape
                if lane.low_rank:
                    self._add(f"up_{i}", (out, lane.rank), dtype)
                    self._add(f"down_{i}", (lane.rank, n), dtype)
                else:
                    self._add(f"matrix_{i}", (out, n), dtype)
        self._holds = [NOBODY] * len(lanes)

    def _add(self, name: str, shape: tuple[int, int], dtype: torch.dtype) -> None:
        self.register_parameter(name, nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=False))

    @property
    def where(self) -> torch.device:
        """The device of the buffers (``device`` is an attribute that the host sets)."""
        return next(self.parameters()).device

    def buffers_of(self, i: int) -> tuple[Tensor, ...]:
        """(up, down) of lane ``i``, or (matrix,)."""
        names = (f"up_{i}", f"down_{i}") if self.lanes[i].low_rank else (f"matrix_{i}",)
        return tuple(getattr(self, name) for name in names)

    def show(self, i: int, who: int) -> None:
        """Put the factors of LoRA ``who`` into lane ``i``; nothing happens where they are there already."""
        if self._holds[i] == who:
            return
        # An interrupt half way leaves a lane that nobody takes for whole.
        self._holds[i] = NOBODY
        lane = self.lanes[i]
        delta, strength = lane.candidates[who], lane.strengths[who]
        if delta is None or strength == 0:
            for buffer in self.buffers_of(i):
                buffer.zero_()
        elif lane.low_rank and isinstance(delta, LowRank):
            up, down = self.buffers_of(i)
            _fill(up, delta.up, delta.scale * strength, dim=1)
            _fill(down, delta.down, 1.0, dim=0)
        else:
            _fill(self.buffers_of(i)[0], delta.dense(), strength, dim=0)
        self._holds[i] = who


def _fill(buffer: Tensor, source: Tensor, scale: float, dim: int) -> None:
    """The first rows (dim 0) or columns (dim 1) of ``buffer`` = scale * source, the others zero."""
    if scale != 1.0:
        source = source.to(torch.float32) * scale
    pinned = buffer.is_cuda and source.device.type == "cpu"
    if pinned:
        # Pinned memory lets the copy run behind the kernels in flight instead of waiting for them.
        source = source.to(buffer.dtype).pin_memory()
    used = source.shape[dim]
    # Elsewhere (MPS) a copy that does not wait may read memory that is gone.
    buffer.narrow(dim, 0, used).copy_(source, non_blocking=pinned)
    buffer.narrow(dim, used, buffer.shape[dim] - used).zero_()
