"""The house: how many files a folder has, no circle, a face in each room and nothing imported past it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tools.host.find import REPO

MOST_FILES = 12
PRODUCT = ("klora_core", "nodes")
ABOVE = ("tools", "bench", "world")
TREES = (*PRODUCT, *ABOVE, "tests", "web/js")
SUFFIXES = (".py", ".js")
# At most: a docstring of a paragraph, and a line of imports for each file.
FACE_LINES = 24


def folders(tree: str) -> Iterator[Path]:
    for folder in (REPO / tree, *(REPO / tree).rglob("*")):
        if folder.is_dir() and folder.name != "__pycache__":
            yield folder


def modules(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix in SUFFIXES and file.stem != "__init__"]


@pytest.mark.parametrize("tree", TREES)
def test_no_folder_has_more_than_twelve_files(tree):
    crowded = {
        str(f.relative_to(REPO)): len(modules(f)) for f in folders(tree) if len(modules(f)) > MOST_FILES
    }
    assert crowded == {}


def name_of(file: Path) -> str:
    parts = file.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """What a file of the product imports of it, type-checking and local imports too, by absolute name."""
    package = name_of(file).split(".")[: None if file.stem == "__init__" else -1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{target}.{alias.name}" if target else alias.name
                is_module = (REPO / whole.replace(".", "/")).with_suffix(".py").exists()
                yield whole if is_module or not target else target, node.lineno


def files() -> list[Path]:
    return [file for tree in PRODUCT for file in (REPO / tree).rglob("*.py")]


def test_there_is_no_circle():
    graph = {name_of(file): {target for target, _ in imports(file)} - {name_of(file)} for file in files()}
    TopologicalSorter(graph).prepare()


def rooms() -> list[str]:
    """Every package of the product but the two at the top, the inner ones first."""
    every = [name_of(f) for f in files() if f.stem == "__init__" and f.parent.parent != REPO]
    return sorted(every, key=len, reverse=True)


def test_each_room_has_a_face():
    for room in rooms():
        face = REPO / room.replace(".", "/") / "__init__.py"
        text = face.read_text(encoding="utf-8")
        tree = ast.parse(text)
        assert ast.get_docstring(tree), f"{room} does not say what it is"
        assert len(text.splitlines()) <= FACE_LINES, f"the face of {room} is long"
        others = [n for n in tree.body[1:] if not isinstance(n, ast.ImportFrom) or n.module == "__future__"]
        assert not others, f"the face of {room} does more than import"
        assert len(tree.body) > 1, f"{room} gives nothing out"


def given_out(room: str) -> set[str]:
    """The names in a room's face; a whole module may be one of them."""
    face = ast.parse((REPO / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    return {alias.name for node in face.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_outside_a_room_only_its_face_is_imported():
    past, every = [], {room: given_out(room) for room in rooms()}
    for file in files():
        own = name_of(file)
        for target, line in imports(file):
            room = next((room for room in every if target.startswith(f"{room}.")), None)
            if target in every or room is None or own == room or own.startswith(f"{room}."):
                continue
            if target.removeprefix(f"{room}.") not in every[room]:
                past.append(f"{file.relative_to(REPO)}:{line} imports {target} past the face of {room}")
    assert past == []


def test_names_that_no_room_has():
    """What says nothing of what a thing is."""
    assert not [file for file in files() for line in file.read_text().splitlines() if "class Found" in line]


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([command], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """All that the contracts speak of, in a folder of its own, where they are kept."""
    folder, ignored = tmp_path_factory.mktemp("house"), shutil.ignore_patterns("__pycache__", "weights")
    for tree in (*PRODUCT, *ABOVE):
        shutil.copytree(REPO / tree, folder / tree, ignore=ignored)
    shutil.copy(REPO / ".importlinter", folder)
    kept = contracts(folder)
    assert kept.returncode == 0, kept.stdout
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("klora_core/names/slots.py", "from ..plan import Plan"),
        ("klora_core/files/keys.py", "from .lora_file import LoraFile"),
        ("klora_core/deltas/rows.py", "import comfy.utils"),
        ("klora_core/report/text.py", "from PIL import Image"),
        ("nodes/host/names.py", "from ..composing import Member"),
        ("klora_core/palette.py", "from tools.host.find import REPO"),
        ("nodes/dials.py", "from bench.tables import Table"),
        ("tools/rooms.py", "from world.places import REPO as PLACE"),
        ("bench/tables.py", "from world.places import REPO as PLACE"),
        ("bench/tables.py", "from .processes import in_host"),
        ("world/model/latents.py", "from ..training.base import STEPS"),
    ],
)
def test_one_import_against_the_stair_breaks_the_contracts(copy, file, line):
    path = copy / file
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{line}\n", encoding="utf-8")
    broken = contracts(copy)
    path.write_text(text, encoding="utf-8")
    assert broken.returncode == 1
    assert "BROKEN" in broken.stdout


def test_every_error_says_what_to_do_or_what_must_be():
    """By its second argument, so that it comes first, whatever names are put before the message."""
    silent = []
    for path in (path for tree in PRODUCT for path in sorted((REPO / tree).rglob("*.py"))):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "KLoraError" and len(call.args) == 1:
                said = ast.unparse(call.args[0])
                if " must " not in said and "--help" not in said:
                    silent.append(f"{path.relative_to(REPO)}:{call.lineno}: {said}")
    assert not silent
