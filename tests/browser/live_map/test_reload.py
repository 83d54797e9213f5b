"""A page that is reloaded while a run goes on: it has that run's map, and its marked step."""

from __future__ import annotations

from tests.support.browser.live_page import CLASSIC, fresh, load, nothing_drawn, settle
from tests.support.browser.undo import reload

QUEUED = "import('/scripts/api.js').then(({ api }) => api.getQueue()).then(({ Running }) => Running.length)"
STOP = "import('/scripts/api.js').then(({ api }) => api.interrupt())"


@CLASSIC
def test_a_page_reloaded_during_a_run_gets_its_map_while_it_runs(opened, server):
    load(opened, fresh(2000))
    nothing_drawn(opened)
    opened.evaluate("app.queuePrompt(0, 1)")
    opened.wait_for_function("klora.runs.length > 0")
    reload(opened, server)
    settle(opened)
    assert opened.evaluate(QUEUED) == 1, "it is still running"
    assert opened.evaluate("klora.root().dataset.columns") == "run"
    assert not opened.evaluate("klora.root().hasAttribute('data-empty')")
    opened.wait_for_function("klora.root().dataset.column > 0")
    opened.evaluate(STOP)
    opened.wait_for_function(f"async () => (await {QUEUED}) === 0")
