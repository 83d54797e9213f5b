"""Sets of page documents, kept for pages that ask for them."""

from __future__ import annotations

import threading
import weakref
import zlib
from typing import NamedTuple

from ..memo import Bounded


class _Packed(NamedTuple):
    content: bytes
    owners: list[weakref.ref[object]]

    def is_owned(self) -> bool:
        return any(ref() is not None for ref in self.owners)


class PageStore:
    """Contents by name: each as long as one of its owners lives, and of the others the last that were used.

    A host that keeps a plan may show its settings again without asking anyone, so the plan owns its set; the
    settings in a history have no owner any more. All together take ``limit`` bytes, packed, or what the
    owned ones take where that is more. Threads may share a store.
    """

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._sets: Bounded[str, _Packed] = Bounded(limit, lambda one: len(one.content), _Packed.is_owned)

    def __len__(self) -> int:
        return len(self._sets)

    @property
    def size(self) -> int:
        """Bytes, packed."""
        return self._sets.size

    def keep(self, name: str, content: bytes, owner: object) -> None:
        """Keep ``content``, always the same for a ``name``; ``owner`` can be referred to weakly."""
        held = weakref.ref(owner)
        with self._lock:
            packed = self._sets.get(name) or _Packed(zlib.compress(content), [])
            packed.owners[:] = [ref for ref in packed.owners if ref() is not None] + [held]
            self._sets.put(name, packed)

    def get(self, name: str) -> bytes | None:
        """The content of that name; None where it is not kept any more, or never was."""
        with self._lock:
            packed = self._sets.get(name)
        return None if packed is None else zlib.decompress(packed.content)
