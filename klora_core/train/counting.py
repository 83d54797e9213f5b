"""What a training will take of memory, counted by one forward pass that holds nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef


@dataclass(frozen=True)
class Held:
    """Bytes that a graph holds: ``whole``, and with its blocks run again for the backward pass."""

    whole: int
    checkpointed: int


def held(network: nn.Module, blocks: Sequence[nn.Module], forward: Callable[[], Tensor]) -> Held:
    """What the graph of ``forward`` holds, without holding it: run without checkpoints, on meta tensors too.

    The network's own parameters are not counted. With checkpoints a block holds what it is given, and one
    block at a time all that is within it.
    """
    counting = _Counting({t.untyped_storage()._cdata for t in network.state_dict().values()})
    with ExitStack() as on:
        for number, block in enumerate(blocks):
            enter, leave = counting.into(number), counting.out
            on.callback(block.register_forward_pre_hook(enter, with_kwargs=True).remove)
            on.callback(block.register_forward_hook(leave, always_call=True).remove)
        on.enter_context(torch.inference_mode(False))
        on.enter_context(torch.enable_grad())
        on.enter_context(saved_tensors_hooks(counting.pack, _gone))
        forward()
    inside = [size for place, size in counting.sizes.items() if place is not None]
    outside = counting.sizes.get(None, 0)
    return Held(outside + sum(inside), outside + sum(counting.given.values()) + max(inside, default=0))


class _Counting:
    def __init__(self, own: set[int]) -> None:
        self._own = own
        # By weak reference: what is not held may be freed, and another may lie there then.
        self._seen: dict[int, StorageWeakRef] = {}
        self._place: int | None = None
        self.sizes: dict[int | None, int] = {}
        self.given: dict[int, int] = {}

    def into(self, number: int) -> Callable[..., None]:
        def enter(module: Any, args: tuple, kwargs: dict) -> None:
            self._place = number
            tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.requires_grad]
            self.given[number] = max(self.given.get(number, 0), sum(map(_bytes, tensors)))

        return enter

    def out(self, *_: Any) -> None:
        self._place = None

    def pack(self, tensor: Tensor) -> None:
        if type(tensor) is not Tensor or tensor.untyped_storage()._cdata in self._own:
            return
        reference = StorageWeakRef(tensor.untyped_storage())
        seen = self._seen.get(reference.cdata)
        if seen is None or seen.expired():
            self._seen[reference.cdata] = reference
            self.sizes[self._place] = self.sizes.get(self._place, 0) + _bytes(tensor)


def _bytes(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()


def _gone(_: Any) -> Tensor:
    raise RuntimeError("this graph was only counted")
