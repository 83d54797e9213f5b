"""What tells whether two deltas hold the same numbers: a digest of their bytes.

A file may be overwritten under a tensor that is mapped from it, so that the object does not say what it
holds: bytes are read anew each time, or once where somebody who knows that they rest hands in his
:class:`Digests`.
Cryptographic hashes are slower (BLAKE3 takes two thirds longer without AVX-512, BLAKE2 six times as long);
here each tile of the bytes is multiplied out with fixed random weights first, as fast as memory gives them,
and the sums alone are hashed. Whoever wants to can make two contents of one such digest: what outlives the
process is known by :func:`cryptographic` ones.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from torch import Tensor

from .gates import Gated
from .layer_weight import LayerWeight
from .products import Kron
from .remapped import Delta, Remapped

_WORDS = 1 << 16
# Odd, so that one word that changes always shows. The low bits of a sum depend on the low bits of the words
# alone, and two flipped top bits cancel: the second row weighs the words' upper halves by themselves.
_WEIGHTS = np.random.default_rng(0x6B6C6F7261).integers(0, 1 << 63, (2, _WORDS), dtype=np.uint64) * 2 + 1
_HALF = np.uint64(32)

CHUNK = 1 << 25
"""Bytes that a thread reads at a time."""
_THREADS = min(4, os.cpu_count() or 1)


def digest(tensor: Tensor) -> bytes:
    """16 bytes for a tensor: of its dtype, its shape and its elements in order, whatever its strides."""
    whole = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    flat = tensor.detach().cpu().contiguous()
    whole.update(_sums(_memory(flat.data_ptr(), flat.nbytes)))
    return whole.digest()


class Digests:
    """Digests of tensors whose bytes rest as long as this lives: each object is read once, by ``read``.

    It holds the tensors, so that no other can have the id of one. ``read`` is :func:`digest` if it is None.
    """

    def __init__(self, read: Callable[[Tensor], bytes] | None = None) -> None:
        self._read = digest if read is None else read
        self._by_id: dict[int, tuple[Tensor, bytes]] = {}

    def of(self, tensor: Tensor) -> bytes:
        """The digest of ``tensor``."""
        if id(tensor) not in self._by_id:
            self._by_id[id(tensor)] = tensor, self._read(tensor)
        return self._by_id[id(tensor)][1]


def digests(deltas: Iterable[Delta], memory: Digests | None = None) -> list[bytes]:
    """16 bytes for each delta: of its kind, scale, rank, rows, and its tensors' shapes, dtypes and bytes.

    Of a change that depends on the layer's weight, also of that weight's mark.

    Equal for equal deltas, in any process; a tensor that several deltas share is read once a call, and not at
    all where ``memory`` has it.
    """
    memory = Digests() if memory is None else memory
    return [_digest(delta, memory, _marked) for delta in deltas]


def cryptographic(deltas: Iterable[Delta]) -> list[bytes]:
    """As :func:`digests`, but BLAKE2 of every byte, also of the weight that a change depends on.

    Nobody can make two contents of one: for what outlives the process. It takes some ten times as long.
    """
    deltas = list(deltas)
    tensors = {id(tensor): tensor for delta in deltas for tensor in delta.tensors}
    read = dict(zip(tensors, hashed([*tensors.values()]), strict=True))
    memory = Digests(lambda tensor: read.get(id(tensor)) or _hashed(tensor))
    return [_digest(delta, memory, lambda weight: _hashed(weight.flat("cpu"))) for delta in deltas]


def hashed(tensors: Sequence[Tensor]) -> list[bytes]:
    """BLAKE2 of each tensor's dtype, shape and every byte, 16 bytes."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_hashed, tensors))


def _hashed(tensor: Tensor) -> bytes:
    whole = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    flat = tensor.detach().cpu().contiguous()
    whole.update(_memory(flat.data_ptr(), flat.nbytes).data)
    return whole.digest()


def _marked(weight: LayerWeight) -> bytes:
    return weight.mark


def _digest(delta: Delta, memory: Digests, mark: Callable[[LayerWeight], bytes]) -> bytes:
    whole = hashlib.blake2b(repr(_form(delta, mark)).encode(), digest_size=16)
    for tensor in delta.tensors:
        whole.update(memory.of(tensor))
    return whole.digest()


def _form(delta: Delta, mark: Callable[[LayerWeight], bytes]) -> tuple[Any, ...]:
    form: tuple[Any, ...] = type(delta).__name__, delta.scale.hex(), delta.shape, delta.rank
    if isinstance(delta, Kron):
        pairs = isinstance(delta.w1, tuple), isinstance(delta.w2, tuple)
        return (*form, delta.window, pairs)
    if isinstance(delta, Remapped):
        maps = None if delta.left is None else delta.left.form
        inner = None if delta.inner is None else _form(delta.inner, mark)
        return (*form, mark(delta.base), delta.base.kernel, maps, delta.columns is None, inner)
    if isinstance(delta, Gated):
        return (*form, type(delta.gate).__name__, delta.gate.settings)
    return form


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


def contents(tensors: Iterable[Tensor], chunk: int = CHUNK) -> bytes:
    """16 bytes for what lies in the memory of ``tensors`` now, by their places.

    Tells whether the same tensors still hold what they held, not whether others hold the same: those of a
    file lie side by side, and are read as one.
    """
    whole, spans = hashlib.blake2b(digest_size=16), []
    for tensor in tensors:
        if tensor.is_cpu and tensor.is_contiguous():
            spans.append((tensor.data_ptr(), tensor.nbytes))
        else:
            whole.update(digest(tensor))
    shares = _shares([piece for run in runs(spans) for piece in _cut(*run, chunk)], chunk)
    if len(shares) > 1 and _THREADS > 1:
        with ThreadPoolExecutor(_THREADS) as pool:
            read: Iterable[bytes] = list(pool.map(_all_sums, shares))
    else:
        read = map(_all_sums, shares)
    for sums in read:
        whole.update(sums)
    return whole.digest()


def _all_sums(pieces: Sequence[np.ndarray]) -> bytes:
    return b"".join(map(_sums, pieces))


def _shares(pieces: Sequence[np.ndarray], chunk: int) -> list[list[np.ndarray]]:
    """The pieces in their order, in lists that are worth a thread."""
    shares: list[list[np.ndarray]] = []
    size = chunk
    for piece in pieces:
        if size >= chunk:
            shares.append([])
            size = 0
        shares[-1].append(piece)
        size += len(piece)
    return shares


def runs(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
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


def _cut(address: int, length: int, chunk: int) -> Iterator[np.ndarray]:
    for start in range(0, length, chunk):
        yield _memory(address + start, min(chunk, length - start))


def _memory(address: int, length: int) -> np.ndarray:
    """The bytes there. A tensor's `numpy()` would have torch take it for one that others write to."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * length).from_address(address))
