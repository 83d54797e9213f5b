"""A page for each file of tests, for those that leave a page otherwise than they found it."""

from __future__ import annotations

import pytest

from .live_page import page


@pytest.fixture(scope="module", params=["classic", "vue"])
def window(request, chromium, server):
    """In the place of the page that all share."""
    with page(chromium, server, VueNodes__Enabled=request.param == "vue") as it:
        it.renderer = request.param
        yield it
