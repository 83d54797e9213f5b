"""What tensors hold, read again only where nothing else proves that they still hold it."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from ...klora_core.deltas import contents
from ...klora_core.memo import Memo

# ns. A file that changed this shortly ago may change again without its times telling: they are as coarse as
# the file system has them, 2 s at the worst.
TOO_RECENT = 2_000_000_000
_WITNESSES = 16


class Stamp(NamedTuple):
    """What tells whether a file is the same and unchanged: times in ns; nobody can set ``changed``."""

    path: str
    size: int
    modified: int
    inode: int
    device: int
    changed: int


def stamp_of(path: str) -> Stamp:
    """The file's stamp now. Raises OSError where it is gone."""
    now = os.stat(path)
    return Stamp(path, now.st_size, now.st_mtime_ns, now.st_ino, now.st_dev, now.st_ctime_ns)


# Of tensors that our loader made, which may be mapped from that file.
_stamps: WeakIdKeyDictionary = WeakIdKeyDictionary()
_contents: Memo[bytes] = Memo(32)


def belong_to(tensors: Iterable[Tensor], stamp: Stamp) -> None:
    """These tensors were just loaded from the file, which had that stamp before."""
    for tensor in tensors:
        _stamps[tensor] = stamp


def contents_of(tensors: Sequence[Tensor]) -> bytes:
    """:func:`contents` of strided tensors on the CPU, for as long as there is proof not read again."""
    proof = _proof(tensors)
    return contents(tensors) if proof is None else _contents.of(tensors, proof, lambda: contents(tensors))


def _proof(tensors: Sequence[Tensor]) -> Hashable | None:
    """What is equal as long as these very tensors hold the same; None where they must be read to know it."""
    marks, stamps = [], set()
    for tensor in tensors:
        stamp = _stamps.get(tensor)
        # Tensors of inference mode count no writes; memory that is not torch's own may be another file's.
        if tensor.is_inference() or not (stamp or _is_own(tensor)) or not tensor.is_contiguous():
            return None
        if stamp is not None:
            stamps.add(stamp)
        marks.append((tensor._version, _witness(tensor)))
    return tuple(marks) if all(map(_rests, stamps)) else None


def _is_own(tensor: Tensor) -> bool:
    """Whether its memory is torch's, of this process alone, and was not handed to NumPy."""
    storage = tensor.untyped_storage()
    return storage.resizable() and not storage.is_shared()


def _witness(tensor: Tensor) -> bytes:
    """Some bytes in the middle, for those who write without being counted (``.data``, ``.numpy()``)."""
    count = min(_WITNESSES, tensor.nbytes)
    return ctypes.string_at(tensor.data_ptr() + (tensor.nbytes - count) // 2, count) if count else b""


def _rests(stamp: Stamp) -> bool:
    """Whether the file is that of the stamp, and was at rest when it got it.

    Where its last change can't be known (Windows gives the time of its making), no file is.
    """
    try:
        same = stamp_of(stamp.path) == stamp
    except OSError:
        return False
    return same and os.name != "nt" and stamp.changed < time.time_ns() - TOO_RECENT
