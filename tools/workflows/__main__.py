"""Rewrite workflows/*.json."""

from __future__ import annotations

import json

from ..host import REPO
from .families import FAMILIES, build


def main() -> None:
    """Write one file a family."""
    for name, family in FAMILIES.items():
        path = REPO / "workflows" / f"{name}.json"
        path.write_text(json.dumps(build(family), indent=2, ensure_ascii=False) + "\n")
        print(path.relative_to(REPO))


if __name__ == "__main__":
    main()
