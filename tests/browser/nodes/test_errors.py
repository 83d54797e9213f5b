"""A run that fails: what to do comes first, the rest by a click, and no notice lies over another."""

from __future__ import annotations

import pytest

from tests.support.browser.live_page import fresh, load, look_at_fuse, run, shot

BOX = "klora.root().querySelector('.klora-error')"
STYLE = "tiny-style-sdxl.safetensors"
# What the page and the pack say at the page's edges, by kind: boxes of what can be seen.
NOTICES = """() => {
  const kinds = ['.klora-toast', '[data-testid="toast"]', '[data-testid="error-overlay"]']
  const found = [...kinds, '[data-testid="queue-notification-banner"]'].flatMap((kind) =>
    [...document.querySelectorAll(kind)].map((one, at) => [`${kind} ${at}`, one]))
  return Object.fromEntries(found.filter(([, one]) => one.checkVisibility()).map(([kind, one]) => {
    const { left, top, right, bottom } = one.getBoundingClientRect()
    return [kind, [left, top, right, bottom]]
  }))
}"""

# A run that begins takes what the last one said off the page.
BEGINS = """import('/scripts/api.js').then(({ api }) =>
  api.dispatchEvent(new CustomEvent('execution_start', { detail: { prompt_id: 'none' } })))"""


@pytest.fixture(scope="module")
def failed(opened):
    """A style for another base model, run."""
    graph = fresh(4)
    for node in graph["nodes"]:
        if node["type"] == "KLoRALoadPair":
            node["widgets_values"][1] = STYLE
    load(opened, graph)
    look_at_fuse(opened)
    with pytest.raises(Exception, match="execution_error"):
        run(opened)
    opened.wait_for_function(f"{BOX}.textContent !== ''")
    yield opened
    opened.evaluate(BEGINS)


def test_what_to_do_comes_first_and_the_rest_by_a_click(failed):
    said = failed.evaluate(f"{BOX}.textContent")
    assert said.startswith(f"Choose a LoRA made for SD1.5: {STYLE}: made for another base model (SDXL LoRA, ")
    height = failed.evaluate(f"{BOX}.offsetHeight")
    assert 20 < height < 60
    shot(failed, "error-short")
    failed.evaluate(f"{BOX}.click()")
    assert failed.evaluate(f"{BOX}.getAttribute('aria-expanded')") == "true"
    assert failed.evaluate(f"{BOX}.offsetHeight") > height
    assert failed.evaluate(f"{BOX}.scrollHeight <= {BOX}.clientHeight + 1 || {BOX}.clientHeight > 100")
    shot(failed, "error-long")
    failed.evaluate(f"{BOX}.click()")
    assert failed.evaluate(f"{BOX}.offsetHeight") == height


def test_no_notice_lies_over_another(failed):
    failed.wait_for_timeout(1000)
    boxes = failed.evaluate(NOTICES)
    assert len(boxes) >= 2, boxes
    (first, *_) = [box for kind, box in boxes.items() if "toast" in kind]
    for kind, other in boxes.items():
        if "toast" not in kind:
            apart = (
                first[0] >= other[2] or other[0] >= first[2] or first[1] >= other[3] or other[1] >= first[3]
            )
            assert apart, (kind, first, other)
    shot(failed, "notices")
