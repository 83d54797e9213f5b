"""Help pages and translations in the real page."""

from __future__ import annotations

import json

import pytest

from tests.browser.live_page import SHOTS, fresh, load, look_at_fuse, page, run
from tools.host import REPO

NODES = ("KLoRAFuse", "KLoRALoadPair", "KLoRALoadLora", "KLoRASelectionMap")


def locale(language: str) -> dict:
    return json.loads((REPO / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def schema_inputs(groups: dict, prefix: str = "") -> dict[str, dict]:
    """Input options by the name that translations use: a dynamic choice's own inputs behind its name."""
    found: dict[str, dict] = {}
    for group in ("required", "optional"):
        for name, spec in (groups.get(group) or {}).items():
            options = spec[1] if len(spec) > 1 else {}
            found[prefix + name] = options
            for option in options.get("options", []) if spec[0] == "COMFY_DYNAMICCOMBO_V3" else []:
                found.update(schema_inputs(option["inputs"], f"{prefix}{name}_"))
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_input_and_output_is_translated(server, language):
    told, info = locale(language), server.object_info()
    ours = {name: node for name, node in info.items() if name.startswith("KLoRA")}
    assert told.keys() == ours.keys()
    for name, node in ours.items():
        assert told[name]["inputs"].keys() == schema_inputs(node["input"]).keys(), name
        assert list(told[name]["outputs"]) == [str(i) for i in range(len(node["output"]))], name
        for text in [*told[name]["inputs"].values(), *told[name]["outputs"].values()]:
            assert text["name"]
            assert text["tooltip"]


def test_english_says_what_the_nodes_say(server):
    info = server.object_info()
    for name, told in locale("en").items():
        assert told["display_name"] == info[name]["display_name"]
        assert told["description"] == info[name]["description"]
        for key, options in schema_inputs(info[name]["input"]).items():
            # Both schedules have an alpha of their own; one translation serves the two.
            assert options["tooltip"].startswith(told["inputs"][key]["tooltip"]), (name, key)
        assert [out["tooltip"] for out in told["outputs"].values()] == info[name]["output_tooltips"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_help_opens_in_the_page(chromium, server, language):
    with page(chromium, server, Locale=language) as opened:
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
            title = (
                REPO / "web" / "docs" / (f"{name}/zh.md" if language == "zh" else f"{name}.md")
            ).read_text(encoding="utf-8")
            opened.wait_for_function(
                "(title) => document.querySelector('.node-help-content h1')?.textContent === title",
                arg=title.splitlines()[0].removeprefix("# "),
            )
            if name in ("KLoRAFuse", "KLoRASelectionMap"):
                opened.wait_for_function(
                    "document.querySelector('.node-help-content img')?.naturalWidth > 500"
                )
            SHOTS.mkdir(parents=True, exist_ok=True)
            opened.screenshot(path=SHOTS / f"help-{name}-{language}.png")
        assert opened.problems == []


def show_help(opened):
    """Open the selected node's help as a person does: the i in the selection's toolbox."""
    opened.wait_for_timeout(300)
    opened.locator("[data-testid=info-button]").first.click()


def test_chinese_names_stand_on_the_nodes(chromium, server):
    with page(chromium, server, Locale="zh") as opened:
        load(opened, fresh(4))
        run(opened)
        opened.wait_for_function("klora.root()?.dataset.draws > 0")
        told = locale("zh")["KLoRAFuse"]
        widget = "klora.fuse().widgets.find((w) => w.name === '{}').label"
        assert opened.evaluate("klora.fuse().constructor.title") == told["display_name"]
        assert opened.evaluate(widget.format("balance")) == told["inputs"]["balance"]["name"]
        assert (
            opened.evaluate("klora.root().querySelector('.klora-title').textContent") == "\u9009\u62e9\u56fe"
        )
        look_at_fuse(opened)
        opened.screenshot(path=SHOTS / "live-map-zh.png")
        assert opened.problems == []
