"""What tells whether two deltas hold the same numbers: a digest of their bytes, read anew each time.

A file may be overwritten under a tensor that is mapped from it, so that neither the object nor the file's
date says what it holds. Cryptographic hashes read half a gigabyte a second; here each tile of the bytes is
multiplied out with fixed random weights first, as fast as memory gives them, and the sums alone are hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .deltas import Delta, Kron, Remapped

_WORDS = 1 << 16
# Odd, so that one word that changes always shows. The low bits of a sum depend on the low bits of the words
# alone, and two flipped top bits cancel: the second row weighs the words' upper halves by themselves.
_WEIGHTS = np.random.default_rng(0x6B6C6F7261).integers(0, 1 << 63, (2, _WORDS), dtype=np.uint64) * 2 + 1
_HALF = np.uint64(32)

_Seen = dict[tuple, bytes]


def digests(deltas: Iterable[Delta]) -> list[bytes]:
    """16 bytes for each delta: of its kind, scale, rank, rows, and its tensors' shapes, dtypes and bytes.

    Of a change that depends on the layer's weight, also of that weight's mark.

    Equal for equal deltas, in any process; a tensor that several deltas share is read once a call.
    """
    seen: _Seen = {}
    return [_digest(delta, seen) for delta in deltas]


def _digest(delta: Delta, seen: _Seen) -> bytes:
    whole = hashlib.blake2b(repr(_form(delta)).encode(), digest_size=16)
    for tensor in delta.tensors:
        place = tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride()
        if place not in seen:
            seen[place] = digest(tensor)
        whole.update(seen[place])
    return whole.digest()


def _form(delta: Delta) -> tuple[Any, ...]:
    form: tuple[Any, ...] = type(delta).__name__, delta.scale.hex(), delta.shape, delta.rank
    if isinstance(delta, Kron):
        pairs = isinstance(delta.w1, tuple), isinstance(delta.w2, tuple)
        return (*form, delta.window, pairs)
    if isinstance(delta, Remapped):
        left = delta.left
        maps = None if left is None else (left.turns is None, left.gains is None, left.butterfly)
        inner = None if delta.inner is None else _form(delta.inner)
        return (*form, delta.base.mark, delta.base.kernel, maps, delta.columns is None, inner)
    return form


def digest(tensor: Tensor) -> bytes:
    """16 bytes for a tensor: of its dtype, its shape and its elements in order, whatever its strides."""
    found = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    flat = tensor.detach().cpu().contiguous().view(-1)
    data = flat.view(torch.uint8).numpy()
    words = data[: len(data) // 8 * 8].view(np.uint64)
    upper = np.empty(min(_WORDS, len(words)), np.uint64)
    for start in range(0, len(words), _WORDS):
        tile = words[start : start + _WORDS]
        n = len(tile)
        sums = (
            np.dot(tile, _WEIGHTS[0, :n]),
            np.dot(np.right_shift(tile, _HALF, out=upper[:n]), _WEIGHTS[1, :n]),
        )
        found.update(np.array(sums, np.uint64).tobytes())
    found.update(data[len(words) * 8 :].tobytes())
    return found.digest()
