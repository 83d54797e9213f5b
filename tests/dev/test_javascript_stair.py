"""web/js is a stair of rooms, types counted: what import-linter keeps for Python, kept here for the page."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
# Top first; rooms of one line do not import each other. "" is the top itself.
STAIR = (
    ("",),
    ("node/map", "node/picking"),
    ("node",),
    ("page", "methods", "view", "sheet"),
    ("view/canvas",),
    ("graph", "decision"),
)
LEVEL = {room: level for level, rooms in enumerate(STAIR) for room in rooms}
DOOR = "extension.js"
TO_THE_HOST = "page/comfy.js"
# `import .. from`, `export .. from`, a bare import, and import() in code and in types alike.
IMPORT = re.compile(r"""\b(?:from|import)[\s(]*["']([^"']+)["']""")


def faults(root: Path) -> list[str]:
    """What breaks the stair in the modules under ``root``, a line each."""
    files = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.js"))}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    imports = {name: _targets(root, files[name], texts[name]) for name in files}
    rooms = {name.rpartition("/")[0] for name in files}
    said = [f"{room} is no room of the stair" for room in sorted(rooms - LEVEL.keys())]
    said += [f"{name} stands at the top" for name in files if "/" not in name and name != DOOR]
    said += [f"{name} registers" for name in files if "registerExtension" in texts[name] and name != DOOR]
    for name, targets in imports.items():
        wrong = sorted(target for target in targets if not _allowed(name, target, files))
        said += [f"{name} imports {target}" for target in wrong]
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        said.append("circle: " + " < ".join(error.args[1]))
    return said


def _targets(root: Path, path: Path, text: str) -> set[str]:
    """What a module imports: by its name below ``root``, as it is written where it lies outside."""
    named = {target: (path.parent / target).resolve() for target in IMPORT.findall(text)}
    top = root.resolve()
    return {at.relative_to(top).as_posix() if top in at.parents else name for name, at in named.items()}


def _allowed(name: str, target: str, files: dict[str, Path]) -> bool:
    if target not in files:
        return name == TO_THE_HOST and "/scripts/" in target
    own, other = (one.rpartition("/")[0] for one in (name, target))
    return own == other or LEVEL.get(own, 0) < LEVEL.get(other, 0)


def test_the_page_s_modules_keep_the_stair():
    assert faults(REPO / "web" / "js") == []
    assert "registerExtension" in (REPO / "web" / "js" / DOOR).read_text(encoding="utf-8")


SOUND = {
    "extension.js": "import { show } from './node/map.js'\napp.registerExtension({})",
    "node/map.js": "import {\n  draw\n} from '../view/draw.js'\nimport { walk } from '../graph/walk.js'",
    "view/draw.js": "import './pen.js'\n/** @typedef {import('../decision/rows.js').Rows} Rows */",
    "view/pen.js": "",
    "graph/walk.js": "",
    "decision/rows.js": "",
    "page/comfy.js": "import { app } from '../../../../scripts/app.js'",
}


def tree(root: Path, changed: dict[str, str]) -> Path:
    for name, text in {**SOUND, **changed}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_sound_tree_has_no_faults(tmp_path):
    assert faults(tree(tmp_path, {})) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"graph/walk.js": "import { show } from '../node/map.js'"}, "graph/walk.js imports node/map.js"),
        (
            {"decision/rows.js": "/** @type {import('../view/pen.js').Pen} */"},
            "decision/rows.js imports view/pen.js",
        ),
        ({"view/pen.js": "export * from '../extension.js'"}, "view/pen.js imports extension.js"),
        ({"view/pen.js": "await import('../page/comfy.js')"}, "view/pen.js imports page/comfy.js"),
        ({"graph/walk.js": 'import "../decision/rows.js"'}, "graph/walk.js imports decision/rows.js"),
        ({"view/pen.js": "import { gone } from './gone.js'"}, "view/pen.js imports view/gone.js"),
        (
            {"view/pen.js": "import { app } from '../../../../scripts/app.js'"},
            "view/pen.js imports ../../../../scripts/app.js",
        ),
        ({"view/pen.js": "app.registerExtension({})"}, "view/pen.js registers"),
        ({"pen.js": ""}, "pen.js stands at the top"),
        ({"host/pen.js": ""}, "host is no room of the stair"),
    ],
)
def test_each_way_to_break_it_is_told(tmp_path, changed, said):
    assert [one for one in faults(tree(tmp_path, changed)) if not one.startswith("circle: ")] == [said]


def test_a_circle_inside_a_room_is_told(tmp_path):
    (said,) = faults(tree(tmp_path, {"view/pen.js": "import { draw } from './draw.js'"}))
    assert said.startswith("circle: ") and "view/draw.js < view/pen.js" in said
