"""What tells whether two deltas hold the same numbers: a digest of their bytes.

A file may be overwritten under a tensor that is mapped from it, so that neither the object nor the file's
date says what it holds: bytes are read anew each time, or once where :func:`once` says that they rest.
Cryptographic hashes read half a gigabyte a second; here each tile of the bytes is multiplied out with fixed
random weights first, as fast as memory gives them, and the sums alone are hashed.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .products import Kron
from .remapped import Delta, Remapped

_WORDS = 1 << 16
# Odd, so that one word that changes always shows. The low bits of a sum depend on the low bits of the words
# alone, and two flipped top bits cancel: the second row weighs the words' upper halves by themselves.
_WEIGHTS = np.random.default_rng(0x6B6C6F7261).integers(0, 1 << 63, (2, _WORDS), dtype=np.uint64) * 2 + 1
_HALF = np.uint64(32)

# Bytes that one thread reads at a time, and how many threads read.
_CHUNK, _THREADS = 1 << 25, min(4, os.cpu_count() or 1)

Seen = dict[int, tuple[Tensor, bytes]]
"""Digests by the tensor's id, with the tensor, so that no other can have its id."""
_seen: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextmanager
def once(seen: Seen) -> Iterator[None]:
    """Inside, each tensor object is read once, or not at all where ``seen`` has it already.

    For tensors whose bytes are known to be those that ``seen`` was filled from, and to rest meanwhile.
    """
    token = _seen.set(seen)
    try:
        yield
    finally:
        _seen.reset(token)


def digests(deltas: Iterable[Delta]) -> list[bytes]:
    """16 bytes for each delta: of its kind, scale, rank, rows, and its tensors' shapes, dtypes and bytes.

    Of a change that depends on the layer's weight, also of that weight's mark.

    Equal for equal deltas, in any process; a tensor that several deltas share is read once a call.
    """
    seen = _seen.get()
    with once({} if seen is None else seen):
        return [_digest(delta) for delta in deltas]


def _digest(delta: Delta) -> bytes:
    whole = hashlib.blake2b(repr(_form(delta)).encode(), digest_size=16)
    for tensor in delta.tensors:
        whole.update(digest(tensor))
    return whole.digest()


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


def digest(tensor: Tensor) -> bytes:
    """16 bytes for a tensor: of its dtype, its shape and its elements in order, whatever its strides."""
    seen = _seen.get()
    if seen is None:
        return _read(tensor)
    if id(tensor) not in seen:
        seen[id(tensor)] = tensor, _read(tensor)
    return seen[id(tensor)][1]


def _read(tensor: Tensor) -> bytes:
    found = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    flat = tensor.detach().cpu().contiguous().view(-1)
    found.update(_sums(flat.view(torch.uint8).numpy()))
    return found.digest()


def _sums(data: np.ndarray) -> bytes:
    """Two sums for each tile of ``data``, uint8, and its last bytes."""
    words = data[: len(data) // 8 * 8].view(np.uint64)
    upper = np.empty(min(_WORDS, len(words)), np.uint64)
    sums = np.empty((-(-len(words) // _WORDS), 2), np.uint64)
    for i, start in enumerate(range(0, len(words), _WORDS)):
        tile = words[start : start + _WORDS]
        n = len(tile)
        sums[i, 0] = np.dot(tile, _WEIGHTS[0, :n])
        sums[i, 1] = np.dot(np.right_shift(tile, _HALF, out=upper[:n]), _WEIGHTS[1, :n])
    return sums.tobytes() + data[len(words) * 8 :].tobytes()


def contents(tensors: Iterable[Tensor]) -> bytes:
    """16 bytes for what lies in the memory of ``tensors`` now, by their places.

    Tells whether the same tensors still hold what they held, not whether others hold the same: those of a
    file lie side by side, and are read as one.
    """
    found, spans = hashlib.blake2b(digest_size=16), []
    for tensor in tensors:
        if tensor.is_cpu and tensor.is_contiguous():
            spans.append((tensor.data_ptr(), tensor.nbytes))
        else:
            found.update(_read(tensor))
    shares = _shares([piece for run in _runs(spans) for piece in _cut(*run)])
    if len(shares) > 1 and _THREADS > 1:
        with ThreadPoolExecutor(_THREADS) as pool:
            read: Iterable[bytes] = list(pool.map(_all_sums, shares))
    else:
        read = map(_all_sums, shares)
    for sums in read:
        found.update(sums)
    return found.digest()


def _all_sums(pieces: Sequence[np.ndarray]) -> bytes:
    return b"".join(map(_sums, pieces))


def _shares(pieces: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The pieces in their order, in lists that are worth a thread."""
    shares: list[list[np.ndarray]] = []
    size = _CHUNK
    for piece in pieces:
        if size >= _CHUNK:
            shares.append([])
            size = 0
        shares[-1].append(piece)
        size += len(piece)
    return shares


def _runs(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """(address, bytes) of the memory that ``spans`` cover, those that touch as one."""
    first = last = 0
    for address, length in sorted(spans):
        if address > last:
            if last > first:
                yield first, last - first
            first = last = address
        last = max(last, address + length)
    if last > first:
        yield first, last - first


def _cut(address: int, length: int) -> Iterator[np.ndarray]:
    for start in range(0, length, _CHUNK):
        size = min(_CHUNK, length - start)
        yield np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address + start))
