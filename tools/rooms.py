"""`python -m tools.rooms ROOM`: the test folders of a room of klora_core and of the rooms that import it.

What imports a room is asked of the import graph that the contracts are checked on.
"""

from __future__ import annotations

import sys

import grimp

from .host.find import REPO

PACKAGE = "klora_core"
GROUND = {"errors", "loras", "memo", "palette", "progress", "plan", "plan_file", "fuse"}
# Where the tests of a file that is no room lie.
_FOLDERS = {**dict.fromkeys(GROUND, "ground"), "plan": "plan", "plan_file": "plan", "fuse": "pipelines"}


def folders(room: str) -> list[str]:
    """Folders below tests/core, the room's own first. Raises KeyError for a room that is not there."""
    graph = grimp.build_graph(PACKAGE)
    rooms = {child.split(".")[1] for child in graph.find_children(PACKAGE)}
    if room not in rooms:
        raise KeyError(f"no room {room}: {', '.join(sorted(rooms))}")
    modules = {f"{PACKAGE}.{room}", *graph.find_descendants(f"{PACKAGE}.{room}")}
    above = {
        importer.split(".")[1]
        for module in modules
        for importer in graph.find_modules_that_directly_import(module)
        if importer not in modules
    }
    names = dict.fromkeys(_FOLDERS.get(one, one) for one in (room, *sorted(above & rooms)))
    return [f"tests/core/{name}" for name in names if (REPO / "tests" / "core" / name).is_dir()]


def main(arguments: list[str]) -> int:
    """Print them, in one line."""
    try:
        print(*folders(arguments[0]))
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
