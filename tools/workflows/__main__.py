"""Rewrite workflows/*.json."""

from __future__ import annotations

import json

from ..host import REPO
from .shipped import SHIPPED


def main() -> None:
    """Write one file a workflow."""
    for name, build in SHIPPED.items():
        path = REPO / "workflows" / f"{name}.json"
        path.write_text(json.dumps(build(), indent=2, ensure_ascii=False) + "\n")
        print(path.relative_to(REPO))


if __name__ == "__main__":
    main()
