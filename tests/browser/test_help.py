"""Help pages and translations in the real page."""

from __future__ import annotations

import json

import pytest

from tests.browser.test_templates import OPEN
from tests.support.browser.live_page import SHOTS, fresh, load, look_at_fuse, page, run
from tools.host.find import REPO
from tools.workflows.shipped import path_of

NODES = (
    "KLoRAFuse",
    "KLoRALoadPair",
    "KLoRALoadLora",
    "KLoRASelectionMap",
    "KLoRASet",
    "KLoRACompose",
    "KLoRAMerge",
    "KLoRAPickLoras",
    "KLoRATrainMerge",
    "KLoRAPickAndLearn",
    "KLoRAToyWords",
)


def locale(language: str) -> dict:
    return json.loads((REPO / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def schema_inputs(groups: dict, prefix: str = "") -> dict[str, list[str]]:
    """Tooltips by the name that translations use: a dynamic choice's own inputs behind its name.

    Several options of a choice can have inputs of one name, each with a tooltip of its own.
    """
    found: dict[str, list[str]] = {}
    for group in ("required", "optional"):
        for name, spec in (groups.get(group) or {}).items():
            options = spec[1] if len(spec) > 1 else {}
            found.setdefault(prefix + name, []).append(options["tooltip"])
            for option in options.get("options", []) if spec[0] == "COMFY_DYNAMICCOMBO_V3" else []:
                for key, tooltips in schema_inputs(option["inputs"], f"{prefix}{name}_").items():
                    found.setdefault(key, []).extend(tooltips)
    return found


@pytest.mark.parametrize("language", ["en", "ja", "zh"])
def test_every_input_and_output_is_translated(info, language):
    english, told = locale("en"), locale(language)
    ours = {name: node for name, node in info.items() if name.startswith("KLoRA")}
    assert told.keys() == ours.keys()
    for name, node in ours.items():
        assert told[name]["inputs"].keys() == schema_inputs(node["input"]).keys(), name
        assert list(told[name]["outputs"]) == [str(i) for i in range(len(node["output"]))], name
        for text in [*told[name]["inputs"].values(), *told[name]["outputs"].values()]:
            assert text["name"]
        for key, text in told[name]["inputs"].items():
            assert "tooltip" in text or "tooltip" not in english[name]["inputs"][key], (name, key)


def test_english_says_what_the_nodes_say(info):
    for name, told in locale("en").items():
        assert told["display_name"] == info[name]["display_name"]
        assert told["description"] == info[name]["description"]
        for key, tooltips in schema_inputs(info[name]["input"]).items():
            # One translation serves all inputs of a name; where they mean different things there is none, and
            # each keeps its own.
            said = told["inputs"][key].get("tooltip")
            if said is None:
                assert len(set(tooltips)) > 1, (name, key)
            else:
                assert all(tooltip.startswith(said) for tooltip in tooltips), (name, key)
        assert [out["tooltip"] for out in told["outputs"].values()] == info[name]["output_tooltips"]


@pytest.fixture(scope="module", params=["en", "zh"])
def opened(request, chromium, server):
    with page(chromium, server, Locale=request.param) as it:
        it.language = request.param
        yield it
        assert it.problems == []


CHINESE = pytest.mark.parametrize("opened", ["zh"], indirect=True)


def test_help_opens_in_the_page(opened):
    for name in NODES:
        opened.evaluate(
            """(name) => {
              app.rootGraph.clear()
              const node = LiteGraph.createNode(name)
              app.rootGraph.add(node)
              app.canvas.selectNode(node)
            }""",
            name,
        )
        show_help(opened)
        file = f"{name}.md" if opened.language == "en" else f"{name}/{opened.language}.md"
        title = (REPO / "web" / "docs" / file).read_text(encoding="utf-8")
        opened.wait_for_function(
            "(title) => document.querySelector('.node-help-content h1')?.textContent === title",
            arg=title.splitlines()[0].removeprefix("# "),
        )
        if name in ("KLoRAFuse", "KLoRASelectionMap"):
            opened.wait_for_function("document.querySelector('.node-help-content img')?.naturalWidth > 500")
        SHOTS.mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=SHOTS / f"help-{name}-{opened.language}.png")


def show_help(opened):
    """Open the selected node's help as a person does: the i in the selection's toolbox."""
    opened.wait_for_timeout(300)
    opened.locator("[data-testid=info-button]").first.click()


@CHINESE
def test_chinese_names_stand_on_the_nodes(opened):
    load(opened, fresh(4))
    run(opened)
    opened.wait_for_function("klora.root()?.dataset.draws > 0")
    told = locale("zh")["KLoRAFuse"]
    widget = "klora.fuse().widgets.find((w) => w.name === '{}').label"
    assert opened.evaluate("klora.fuse().constructor.title") == told["display_name"]
    assert opened.evaluate(widget.format("balance")) == told["inputs"]["balance"]["name"]
    assert opened.evaluate("klora.root().querySelector('.klora-title').textContent") == "\u9009\u62e9\u56fe"
    look_at_fuse(opened)
    opened.screenshot(path=SHOTS / "live-map-zh.png")


SAYS = """() => [...app.rootGraph.groups.map((group) => group.title),
  app.rootGraph.nodes.find((node) => node.type === 'MarkdownNote').widgets[0].value.split('\\n')[0]]"""


@CHINESE
def test_a_template_opens_in_the_language_of_the_page(opened):
    words = json.loads((REPO / "web" / "words" / "templates.json").read_text(encoding="utf-8"))
    workflow = json.loads(path_of("k-lora-sd15").read_text(encoding="utf-8"))
    english = [group["title"] for group in workflow["groups"]] + ["# Your subject in your style"]
    # One language stands for all: core's test looks at every line of each.
    opened.evaluate(OPEN, [workflow, "k-lora-sd15"])
    assert opened.evaluate(SAYS) == [words[line]["zh"] for line in english]
    # What a person has written is theirs.
    workflow["groups"][0]["title"] = "Mine"
    opened.evaluate(OPEN, [workflow, "k-lora-sd15"])
    assert opened.evaluate(SAYS)[0] == "Mine"
