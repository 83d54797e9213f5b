"""Sets of page documents, kept for pages that ask for them."""

from __future__ import annotations

import threading
import weakref
import zlib
from collections import OrderedDict
from typing import NamedTuple


class _Kept(NamedTuple):
    packed: bytes
    owners: list[weakref.ref[object]]


class PageStore:
    """Contents by name: each as long as one of its owners lives, and of the others the last that were used.

    A host that keeps a plan may show its settings again without asking anyone, so the plan owns its set; the
    settings in a history have no owner any more. All together take ``limit`` bytes, packed, or what the
    owned ones take where that is more. Threads may share a store.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._size = 0
        self._known: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def size(self) -> int:
        """Bytes, packed."""
        return self._size

    def keep(self, name: str, content: bytes, owner: object) -> None:
        """Keep ``content``, always the same for a ``name``; ``owner`` can be referred to weakly."""
        held = weakref.ref(owner)
        with self._lock:
            known = self._known.get(name)
            if known is None:
                known = self._known[name] = _Kept(zlib.compress(content), [])
                self._size += len(known.packed)
            known.owners[:] = [ref for ref in known.owners if ref() is not None]
            known.owners.append(held)
            self._known.move_to_end(name)
            self._shrink()

    def get(self, name: str) -> bytes | None:
        """The content of that name; None where it is not kept any more, or never was."""
        with self._lock:
            known = self._known.get(name)
            if known is None:
                return None
            self._known.move_to_end(name)
        return zlib.decompress(known.packed)

    def _shrink(self) -> None:
        if self._size <= self._limit:
            return
        for name, (packed, owners) in list(self._known.items()):
            if any(ref() is not None for ref in owners):
                continue
            del self._known[name]
            self._size -= len(packed)
            if self._size <= self._limit:
                return
