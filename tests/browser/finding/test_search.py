"""What a person types to find the two nodes of a fusion, in the page's own search of nodes."""

from __future__ import annotations

import pytest

from tests.support.browser.live_page import CLASSIC

pytestmark = CLASSIC

FUSE, PAIR = "KLoRAFuse", "KLoRALoadPair"
FOUND = """(query) => {
  const { $pinia } = document.querySelector('#vue-app').__vue_app__.config.globalProperties
  return $pinia._s.get('nodeDef').nodeSearchService.searchNode(query).map(({ name }) => name)
}"""


@pytest.mark.parametrize(
    "query", ["two loras", "subject style", "fuse loras", "mix loras", "blend lora", "combine lora"]
)
def test_what_they_do_finds_them_before_all_else(window, query):
    assert window.evaluate(FOUND, query)[0] in (FUSE, PAIR)


@pytest.mark.parametrize("query", ["lora", "klora", "style", "subject", "two loras"])
def test_each_word_finds_both(window, query):
    """The page puts names that begin with the word first, and among those what most people use."""
    found = window.evaluate(FOUND, query)
    assert {FUSE, PAIR} <= set(found)


@pytest.mark.parametrize("query", ["k-lora", "fuse"])
def test_its_name_finds_fuse_first(window, query):
    assert window.evaluate(FOUND, query)[0] == FUSE
