"""The browser lane: one real server with the pack and a tiny SD1.5, one Chromium, for all tests."""

from __future__ import annotations

import pytest

from tools.lane import missing

_WHY_NOT = missing("browser")


@pytest.fixture(scope="session")
def server():
    if _WHY_NOT:
        pytest.skip(_WHY_NOT)
    from tools.server import serving

    with serving("sd15") as running:
        yield running


@pytest.fixture(scope="session")
def chromium(server):
    from tests.browser.live_page import browser

    with browser() as running:
        yield running
