"""Rewrite workflows/*.json."""

from __future__ import annotations

import json
import sys

from ..host import REPO, HostError
from ..server import ServerError, serving
from .host_nodes import HostNodes
from .shipped import SHIPPED


def main() -> int:
    """Write one file a workflow; the exit status."""
    try:
        with serving() as server:
            host = HostNodes(server.object_info())
    except (HostError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, build in SHIPPED.items():
        path = REPO / "workflows" / f"{name}.json"
        path.write_text(json.dumps(build(host), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(path.relative_to(REPO))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
