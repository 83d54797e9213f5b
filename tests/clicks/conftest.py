"""`make test-clicks`: every template by mouse alone, in both renderers, on tiny models under real names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.browser import live_page
from tools import tiny
from tools.host import front_end
from tools.host.find import REPO, require_host
from tools.host.lane import missing
from tools.serving import serving
from tools.tiny import loras
from tools.workflows.families import SDXL, TOY
from tools.workflows.on_tiny import TINY_FILES
from tools.workflows.shipped import SHIPPED, path_of

FAMILIES = ("sd15", "sdxl", "flux", "zimage", "wan", "refiner")


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    if why := missing("browser"):
        pytest.skip(why)
    tiny.build_with(require_host(), *FAMILIES)
    models = tmp_path_factory.mktemp("models")
    lay_out(models)
    wanted = front_end.named()
    page = front_end.root(wanted) if wanted else None
    stand_ins = Path(__file__).parents[1] / "support" / "browser" / "stand_ins.py"
    with serving(*FAMILIES, models=models, extra_nodes=[stand_ins], front_end=page) as running:
        yield running


@pytest.fixture(scope="session")
def chromium(served):
    with live_page.browser() as running:
        yield running


@pytest.fixture(params=[False, True], ids=["classic", "vue"])
def opened(request, chromium, served):
    """A page of its own for each template: what is open in other tabs makes a slow machine slower."""
    size = {"width": 1500, "height": 920}
    with live_page.page(chromium, served, **size, VueNodes__Enabled=request.param) as it:
        it.renderer = "vue" if request.param else "classic"
        yield it
        assert it.problems == []


def lay_out(models: Path) -> None:
    """A models folder with the files that templates name, and the tiny pairs to choose from."""
    assert SDXL.subject is not None and SDXL.style is not None
    pair = {SDXL.subject.name: "tiny-subject-sdxl", SDXL.style.name: "tiny-style-sdxl"}
    there = {path.name: path for path in tiny.MODELS_DIR.glob("*/*.safetensors")}
    for path in there.values():
        if path.parent.name == "loras":
            link(models / "loras" / path.name, path)
    loras.write_lightning(models / "loras")
    for file in TOY.files:
        link(models / file.folder / file.name, REPO / "world" / "weights" / file.name)
    for name in SHIPPED:
        for node in json.loads(path_of(name).read_text(encoding="utf-8"))["nodes"]:
            for file in node["properties"].get("models", ()):
                known = pair.get(file["name"], "") + ".safetensors"
                source = there.get(TINY_FILES.get(file["name"], known), there["tiny-ae.safetensors"])
                link(models / file["directory"] / file["name"], source)


def link(path: Path, source: Path) -> None:
    """A name for a file, unless there is one; text encoders' stand-ins don't read theirs."""
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.symlink_to(source)
