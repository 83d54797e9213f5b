"""The pack's templates in the page's list of templates: by their numbers, under words that people type."""

from __future__ import annotations

import json
import random

from tests.support.browser.live_page import CLASSIC
from tools.workflows.shipped import SHIPPED

TITLES = [shipped.title for shipped in SHIPPED.values()]
LISTED = "import('/scripts/api.js').then(({ api }) => api.getWorkflowTemplates())"
WORDS = ("lora", "k-lora", "sdxl", "flux", "style", "subject", "merge", "train", "video", "two")


@CLASSIC
def test_they_are_listed_by_number_however_the_folder_lists_them(window, server):
    others = ["b", "a"]
    mixed = random.Random(0).sample(TITLES, len(TITLES))
    assert mixed != TITLES
    answer = json.dumps({"another-pack": others, "k-lora": mixed})
    window.route("**/workflow_templates", lambda route: route.fulfill(json=json.loads(answer)))
    listed = window.evaluate(LISTED)
    window.unroute("**/workflow_templates")
    assert listed == {"another-pack": others, "k-lora": TITLES}


def test_the_titles_say_what_people_type_and_nothing_internal():
    for word in WORDS:
        assert any(word in title.lower() for title in TITLES), word
    assert not [title for title in TITLES if "(" in title or ":" in title], "a colon is in no file name"
    assert max(map(len, TITLES)) <= 35, "a card cuts longer ones"
