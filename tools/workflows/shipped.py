"""Every shipped workflow by its file's stem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from . import sheets, single
from .canvas import Json
from .families import FAMILIES, build

SHIPPED: Mapping[str, Callable[[], Json]] = {
    **{name: partial(build, family) for name, family in FAMILIES.items()},
    "k-lora-lightning": single.lightning,
    "k-lora-z-image": single.z_image,
    "k-lora-img2img": single.img2img,
    "k-lora-compare": sheets.compare,
    "k-lora-balance-sweep": sheets.balance_sweep,
}
