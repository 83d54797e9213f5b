"""The tables of other names, by network."""

from __future__ import annotations

from ..table import Table
from .flux import FLUX
from .image import AURAFLOW, KREA, LUMINA, PIXART, SD3
from .video import COGVIDEOX, COSMOS, COSMOS2, LTX, MOCHI, WAN

TABLES: dict[str, Table] = {
    **{"sd3": SD3, "pixart": PIXART, "auraflow": AURAFLOW, "krea": KREA, "lumina": LUMINA},
    **{"wan": WAN, "ltx": LTX, "mochi": MOCHI, "cosmos2": COSMOS2, "cosmos": COSMOS},
    **{"cogvideox": COGVIDEOX, "flux": FLUX},
}
