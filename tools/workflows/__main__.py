"""Rewrite workflows/*.json, workflows/api/*.json and subgraphs/*.json."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..host.find import REPO, HostError
from ..host.server import ServerError
from ..serving import serving
from . import blueprint
from .editor.canvas import Json
from .editor.host_nodes import HostNodes
from .shipped import IN_API_FORMAT, SHIPPED, api_path_of, path_of


def _write(path: Path, content: Json) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.relative_to(REPO))


def main() -> int:
    """Write one file a workflow; the exit status."""
    try:
        with serving() as server:
            host = HostNodes(server.object_info())
    except (HostError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    for name, shipped in SHIPPED.items():
        workflow = shipped.build(host)
        _write(path_of(name), workflow)
        if name in IN_API_FORMAT:
            _write(api_path_of(name), host.prompt_of(workflow))
    _write(blueprint.PATH, blueprint.build(host))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
