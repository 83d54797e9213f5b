"""`python -m tools.tiny FAMILY...`: build tiny models and LoRAs; run it with the host's interpreter."""

from __future__ import annotations

import sys

from ..host.inprocess import enter_host
from . import FILES, MODELS_DIR, loras, models


def main(families: list[str]) -> int:
    """Build the named families (all when none is named) and say where they are."""
    unknown = set(families) - set(FILES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(FILES)}", file=sys.stderr)
        return 2
    families = families or list(FILES)
    enter_host()
    models.ensure(*families)
    loras.ensure(families)
    print(MODELS_DIR)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
