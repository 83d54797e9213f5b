"""The browser lane: a real server with the pack, a tiny SD1.5 and a tiny SDXL, and a Chromium a process.

KLORA_FRONTEND=newest runs all of it on the newest page of the package registry in place of the host's.
"""

from __future__ import annotations

import pytest

from tests.support.browser.live_page import (
    STEPS,
    fresh,
    load,
    look_at_fuse,
    nothing_drawn,
    page,
    renewed,
    run,
    settle,
)
from tools.host import front_end
from tools.host.lane import missing

_WHY_NOT = missing("browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of processes side by side (`--dist loadgroup`) each has a renderer's page; other tests go by file."""
    for item in items:
        renderer = item.callspec.params.get("window") if hasattr(item, "callspec") else None
        item.add_marker(pytest.mark.xdist_group(renderer or item.path.stem))


@pytest.fixture(scope="session")
def server():
    if _WHY_NOT:
        pytest.skip(_WHY_NOT)
    from tools.serving import serving

    wanted = front_end.named()
    with serving("sd15", "sdxl", front_end=front_end.root(wanted) if wanted else None) as running:
        yield running


@pytest.fixture(scope="session")
def info(server):
    """Every node's definition."""
    return server.object_info()


@pytest.fixture(scope="session")
def chromium(server):
    from tests.support.browser.live_page import browser

    with browser() as running:
        yield running


@pytest.fixture(scope="session", params=["classic", "vue"])
def window(request, chromium, server):
    """The page of a renderer: one for all its tests."""
    with page(chromium, server, VueNodes__Enabled=request.param == "vue") as it:
        it.renderer = request.param
        yield it


@pytest.fixture(scope="module")
def opened(window):
    """The page as new, once a file."""
    with renewed(window):
        yield window


@pytest.fixture
def ran(opened):
    """The page with the map of a run; only the first test of a renderer waits for the run itself."""
    if not hasattr(opened, "graph"):
        opened.graph = fresh(STEPS)
        load(opened, opened.graph)
        nothing_drawn(opened)
        run(opened)
        opened.slots = opened.evaluate("klora.plan().then(({ slots }) => slots.map((slot) => slot.name))")
    else:
        load(opened, opened.graph)
    settle(opened)
    look_at_fuse(opened)
    settle(opened)
    return opened
