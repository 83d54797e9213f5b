"""What registries, ComfyUI-Manager and the editor read about the pack agrees with the nodes in the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings it
    import tomli as tomllib

REPO = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
COMFY = PROJECT["tool"]["comfy"]
WORKFLOWS = sorted((REPO / "workflows").glob("*.json"))
LANGUAGES = sorted(path.name for path in (REPO / "locales").iterdir())
RUNTIME = {"__init__.py", "klora_core", "locales", "nodes", "subgraphs", "web", "workflows"}
PAPERS = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "requirements.txt"}
# A folder of somebody's machine.
LOCAL_PATH = re.compile(r"(?<![\w.~])/(home|Users|root|work|tmp|mnt)/\w|[A-Za-z]:\\+Users")


@dataclass(frozen=True)
class Node:
    """What a node's schema says of it."""

    class_name: str
    id: str
    display_name: str
    description: str


def read_json(path: str | Path) -> Any:
    return json.loads((REPO / path).read_text(encoding="utf-8"))


def schema_of(definition: ast.ClassDef) -> ast.Call | None:
    calls = (part for part in ast.walk(definition) if isinstance(part, ast.Call))
    return next((call for call in calls if ast.unparse(call.func) == "io.Schema"), None)


def nodes_in_code() -> dict[str, Node]:
    found = {}
    for path in sorted((REPO / "nodes").glob("**/*.py")):
        for definition in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            schema = schema_of(definition) if isinstance(definition, ast.ClassDef) else None
            if schema is None:
                continue
            said = {word.arg: word.value for word in schema.keywords}
            words = [ast.literal_eval(said[key]) for key in ("node_id", "display_name", "description")]
            found[words[0]] = Node(definition.name, *words)
    return found


NODES = nodes_in_code()


def test_every_node_is_registered():
    door = ast.parse((REPO / "nodes" / "__init__.py").read_text(encoding="utf-8"))
    lists = (part.value for part in ast.walk(door) if isinstance(part, ast.Return))
    registered = [name.id for listed in lists for name in listed.elts]
    assert sorted(registered) == sorted(node.class_name for node in NODES.values())


def test_node_list_names_every_node():
    assert read_json("node_list.json") == {node.id: node.description for node in NODES.values()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_is_translated(language):
    words = read_json(f"locales/{language}/nodeDefs.json")
    assert words.keys() == NODES.keys()
    for node in NODES.values():
        told = words[node.id]["display_name"], words[node.id]["description"]
        assert all(told)
        if language == "en":
            assert told == (node.display_name, node.description)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("node_id", NODES)
def test_every_node_has_help(node_id, language):
    page = Path(f"{node_id}.md" if language == "en" else f"{node_id}/{language}.md")
    assert (REPO / "web" / "docs" / page).read_text(encoding="utf-8").strip()


def test_workflows_use_nodes_that_exist():
    assert WORKFLOWS
    for path in WORKFLOWS:
        used = {node["type"] for node in read_json(path)["nodes"] if node["type"].startswith("KLoRA")}
        assert used and used <= NODES.keys(), path.name


def test_every_workflow_has_a_thumbnail():
    thumbnails = {path.stem for path in (REPO / "workflows").glob("*.jpg")}
    if not thumbnails:
        pytest.skip("no workflow has a thumbnail yet")
    assert thumbnails == {path.stem for path in WORKFLOWS}


def test_project_names_what_the_registry_asks_for():
    project = PROJECT["project"]
    assert re.fullmatch(r"[a-z](?:[-_.]?[a-z0-9])*", project["name"]) and "comfy" not in project["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["description"]
    assert (REPO / project["license"]["file"]).is_file() and (REPO / project["readme"]).is_file()
    assert project["urls"].keys() >= {"Repository", "Documentation", "Bug Tracker"}
    assert "Operating System :: OS Independent" in project["classifiers"]
    assert COMFY["PublisherId"] and COMFY["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", COMFY["requires-comfyui"])


def test_nothing_is_installed_beside_comfyui():
    lines = (REPO / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines] + PROJECT["project"]["dependencies"]
    # torch above all: even `torch>=x` has replaced people's CUDA builds by ones without.
    assert [line for line in wanted if line] == []


@pytest.mark.parametrize("key", ["Icon", "Banner"])
def test_pictures_are_where_their_urls_say_and_of_the_registrys_shape(key):
    repository = PROJECT["project"]["urls"]["Repository"].removeprefix("https://github.com/")
    start = f"https://raw.githubusercontent.com/{repository}/main/"
    assert COMFY[key].startswith(start)
    path = REPO / COMFY[key].removeprefix(start)
    assert path.stat().st_size < 60_000
    with Image.open(path) as picture:
        width, height = picture.size
    if key == "Icon":
        assert width == height <= 400
    else:
        assert width * 9 == height * 21


def git_files(*options: str) -> list[str]:
    """Tracked files; skips where the tests run outside a git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", *options], cwd=REPO, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return listed.stdout.splitlines()


def test_the_archive_has_what_users_need_and_nothing_else():
    left_out = set(git_files("--ignored", "--exclude-from=.comfyignore"))
    published = [name for name in git_files() if name not in left_out]
    assert {name.partition("/")[0] for name in published} == RUNTIME | PAPERS
    for name in published:
        if name.endswith(".py"):
            for part in ast.walk(ast.parse((REPO / name).read_text(encoding="utf-8"))):
                modules = [alias.name for alias in part.names] if isinstance(part, ast.Import) else []
                if isinstance(part, ast.ImportFrom) and not part.level:
                    modules = [part.module or ""]
                roots = {module.partition(".")[0] for module in modules}
                assert not roots & {"bench", "tests", "tools"}, name


def test_no_file_names_a_folder_of_somebodys_machine():
    for name in git_files():
        try:
            text = (REPO / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; deleted and not yet committed
            continue
        found = LOCAL_PATH.search(text)
        assert found is None, f"{name}: {found.group()}"
