"""Canonical names: every spelling of a module in LoRA files becomes ComfyUI's name of the weight."""

from __future__ import annotations

from .compounds import COMPOUNDS
from .layout import Layout
from .networks import TABLES, unet
from .prefixes import bare, unwrapped
from .sign_table import UNET
from .slots import Slot
from .table import Placed

_LONGEST = max(name.count("_") + 1 for name in COMPOUNDS)


def module(raw: str) -> tuple[str, bool]:
    """(dotted path, whether its dots were restored) of a module name as a LoRA file spells it.

    Prefixes, wrappers and the ``processor`` of diffusers and XLabs are gone; the path keeps its own
    vocabulary.
    """
    name = bare(raw)
    restored = "." not in name and unwrapped(raw).removesuffix(name).endswith("_")
    parts = (dotted(name) if restored else name).split(".")
    if parts[-2:-1] == ["processor"]:
        del parts[-2]
    return ".".join(parts), restored


def dotted(flattened: str) -> str:
    """A name flattened with underscores, its dots restored: the longest known components win."""
    words = [word for word in flattened.split("_") if word]
    parts: list[str] = []
    at = 0
    while at < len(words):
        sizes = range(min(_LONGEST, len(words) - at), 1, -1)
        size = next((n for n in sizes if "_".join(words[at : at + n]) in COMPOUNDS), 1)
        parts.append("_".join(words[at : at + size]))
        at += size
    return ".".join(parts)


def place(path: str, shape: tuple[int, int], layout: Layout) -> Placed:
    """Where the module of a path, dotted or flattened, belongs, whose change has ``shape`` [out, n]; a path
    that no table of the layout has keeps its name."""
    network = layout.network or ""
    if network in TABLES and (placed := TABLES[network].find(path, shape)):
        return placed
    sgm = unet(path, bool(layout.attention_in_first_up_block)) if network in ("", UNET) else None
    return Placed(Slot(sgm or path))
