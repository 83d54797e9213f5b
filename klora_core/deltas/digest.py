"""What tells whether two deltas hold the same numbers: a digest of their bytes.

A file may be overwritten under a tensor that is mapped from it, so that the object does not say what it
holds: bytes are read anew each time, or once where somebody who knows that they rest hands in his
:class:`Digests`.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from .products import Kron
from .remapped import Delta, Remapped

try:
    from blake3 import blake3
except ImportError:
    # ComfyUI has it; five times slower without.
    blake3 = None

# Threads that read, and the bytes that are worth starting them.
_THREADS, _MANY = min(4, os.cpu_count() or 1), 1 << 24


def digest(tensor: Tensor) -> bytes:
    """16 bytes for a tensor: of its dtype, its shape and its elements in order, whatever its strides."""
    flat = tensor.detach().cpu().contiguous().view(-1)
    head = f"{tensor.dtype} {tuple(tensor.shape)} ".encode()
    # `numpy()` would leave a mark by which writers are known: torch resizes no more what it was called on.
    memory = (ctypes.c_uint8 * flat.nbytes).from_address(flat.data_ptr())
    return _hash(head + _hash(memoryview(memory).cast("B")))


def _hash(data: bytes | memoryview) -> bytes:
    return blake3(data).digest(16) if blake3 else hashlib.blake2b(data, digest_size=16).digest()


class Digests:
    """Digests of tensors whose bytes rest as long as this lives: each object is read once, by ``read``
    or else :func:`digest`.

    It holds the tensors, so that no other can have the id of one.
    """

    def __init__(self, read: Callable[[Tensor], bytes] | None = None) -> None:
        self._read = digest if read is None else read
        self._by_id: dict[int, tuple[Tensor, bytes]] = {}

    def of(self, tensors: Iterable[Tensor]) -> list[bytes]:
        """:func:`digest` of each tensor, in their order; several threads read what is much."""
        tensors = list(tensors)
        new = list({id(t): t for t in tensors if id(t) not in self._by_id}.values())
        if sum(tensor.nbytes for tensor in new) < _MANY:
            read = list(map(self._read, new))
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                read = list(pool.map(self._read, new))
        self._by_id.update((id(t), (t, content)) for t, content in zip(new, read, strict=True))
        return [self._by_id[id(tensor)][1] for tensor in tensors]


def contents(tensors: Iterable[Tensor]) -> bytes:
    """16 bytes for what ``tensors`` hold now, in their order."""
    return _hash(b"".join(Digests().of(tensors)))


def digests(deltas: Iterable[Delta], memory: Digests | None = None) -> list[bytes]:
    """16 bytes for each delta: of its kind, scale, rank, rows, and its tensors' shapes, dtypes and bytes.

    Of a change that depends on the layer's weight, also of that weight's mark.

    Equal for equal deltas, in any process that has the same hash; a tensor that several deltas share is read
    once a call, and not at all where ``memory`` has it.
    """
    deltas = list(deltas)
    memory = Digests() if memory is None else memory
    read = iter(memory.of(tensor for delta in deltas for tensor in delta.tensors))
    return [_hash(b"".join([repr(_form(d)).encode(), *(next(read) for _ in d.tensors)])) for d in deltas]


def _form(delta: Delta) -> tuple[Any, ...]:
    form: tuple[Any, ...] = type(delta).__name__, delta.scale.hex(), delta.shape, delta.rank
    if isinstance(delta, Kron):
        pairs = isinstance(delta.w1, tuple), isinstance(delta.w2, tuple)
        return (*form, delta.window, pairs)
    if isinstance(delta, Remapped):
        maps = None if delta.left is None else delta.left.form
        inner = None if delta.inner is None else _form(delta.inner)
        return (*form, delta.base.mark, delta.base.kernel, maps, delta.columns is None, inner)
    return form
