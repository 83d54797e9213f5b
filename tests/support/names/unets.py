"""The published U-Nets by how many modules they have, of how many weights, and a digest of their names and
shapes: what the host's own classes have (tests/host/names/test_unets.py), for tests without a host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

Modules = Mapping[str, tuple[int, int]]


def summary(modules: Modules) -> tuple[int, int, str]:
    """The number of modules, that of their weights, and a digest of both in any order."""
    lines = sorted(f"{name} {out} {n}" for name, (out, n) in modules.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return len(lines), sum(out * n for out, n in modules.values()), digest[:16]


# By the builds of tests.support.families.builds, in the order of klora_core's own table.
UNETS = {
    "sd15": (560, 1718108160, "c9021c6585e90438"),
    "sdxl": (1584, 5131714560, "1b0c4c05d6c53325"),
    "sd2": (560, 1730887680, "7109561d362c5752"),
    "sd-xs": (226, 631070720, "e38f39472f44992e"),
    "sd2-xs": (298, 655892480, "eecc0c1f9fcfc914"),
    "sd2 upscaler": (560, 943980544, "8979d63fe4eec6fc"),
    "svd": (884, 2233303040, "16937cbb7a82a3aa"),
    "ssd-1b": (854, 2661007360, "9ce86d0657d144cf"),
    "vega": (474, 1489551360, "73fe41a349e1bdd3"),
    "koala 700m": (530, 1564631040, "1dd280e3a2920688"),
    "koala 1b": (726, 2320916480, "71c01cb1d723fffe"),
    "refiner": (1104, 4516675584, "a05b6e4ec4eb9498"),
}
