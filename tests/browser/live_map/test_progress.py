"""Before a run the map is drawn over steps only where the graph tells them."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.core.page.test_maths import made_up, sent
from tests.support.browser.live_page import CLASSIC, fresh, load, page, run, show, workflow
from tools.host.find import REPO
from tools.serving import serving

STEPS = 9
COLUMNS = "klora.root().dataset.columns"
# Makes nodes, sets their widgets and wires them, in place of the workflow's own sampler.
KIT = """
const graph = app.rootGraph
const make = (type, settings = {}) => {
  const node = LiteGraph.createNode(type)
  graph.add(node)
  const widget = (name) => node.widgets.find((w) => w.name === name)
  for (const [name, value] of Object.entries(settings)) widget(name).value = value
  return node
}
const wire = (from, output, to, input) => {
  const at = from.outputs.findIndex((o) => o.name === output || o.type === output)
  let slot = to.inputs.findIndex((i) => i.name === input)
  from.connect(at, to, slot)
}
for (const node of [...graph.nodes]) if (node.type === 'KSampler') graph.remove(node)
const fuse = klora.fuse()
"""
GRAPHS = {
    "a whole run": ("const s = make('KSampler', { steps: 9 }); wire(fuse, 'MODEL', s, 'model')", "steps"),
    "denoise below 1": (
        "const s = make('KSampler', { steps: 9, denoise: 0.6 }); wire(fuse, 'MODEL', s, 'model')",
        "progress",
    ),
    "a denoise by wire": (
        """const s = make('KSampler', { steps: 9 }), d = make('PrimitiveFloat', { value: 0.6 })
        wire(fuse, 'MODEL', s, 'model'); wire(d, 'FLOAT', s, 'denoise')""",
        "progress",
    ),
    "a schedule that counts otherwise": (
        """const s = make('KSampler', { steps: 9, scheduler: 'ddim_uniform' })
        wire(fuse, 'MODEL', s, 'model')""",
        "progress",
    ),
    "all of the advanced sampler": (
        "const s = make('KSamplerAdvanced', { steps: 9 }); wire(fuse, 'MODEL', s, 'model')",
        "steps",
    ),
    "the first part": (
        """const s = make('KSamplerAdvanced', { steps: 9, end_at_step: 5 })
        wire(fuse, 'MODEL', s, 'model')""",
        "progress",
    ),
    "the second part": (
        """const s = make('KSamplerAdvanced', { steps: 9, start_at_step: 5 })
        wire(fuse, 'MODEL', s, 'model')""",
        "progress",
    ),
    "noise left over": (
        """const s = make('KSamplerAdvanced', { steps: 9, return_with_leftover_noise: 'enable' })
        wire(fuse, 'MODEL', s, 'model')""",
        "progress",
    ),
    "a second pass over the image": (
        """const one = make('KSampler', { steps: 9 }), two = make('KSampler', { steps: 5, denoise: 0.5 })
        wire(fuse, 'MODEL', two, 'model'); wire(fuse, 'MODEL', one, 'model')
        wire(one, 'LATENT', two, 'latent_image')""",
        "steps",
    ),
    "a guider and a scheduler": (
        """const s = make('SamplerCustomAdvanced'), g = make('BasicGuider')
        const b = make('BasicScheduler', { steps: 9 })
        wire(fuse, 'MODEL', g, 'model'); wire(fuse, 'MODEL', b, 'model')
        wire(g, 'GUIDER', s, 'guider'); wire(b, 'SIGMAS', s, 'sigmas')""",
        "steps",
    ),
    "sigmas cut in two": (
        """const s = make('SamplerCustom'), b = make('BasicScheduler', { steps: 9 }), c = make('SplitSigmas')
        wire(fuse, 'MODEL', s, 'model'); wire(fuse, 'MODEL', b, 'model')
        wire(b, 'SIGMAS', c, 'sigmas'); wire(c, 'SIGMAS', s, 'sigmas')""",
        "progress",
    ),
    "sigmas of no model": (
        """const s = make('SamplerCustom'), b = make('KarrasScheduler', { steps: 9 })
        wire(fuse, 'MODEL', s, 'model'); wire(b, 'SIGMAS', s, 'sigmas')""",
        "progress",
    ),
    "no sampler at all": ("", "progress"),
    "a muted sampler": (
        "const s = make('KSampler', { steps: 9 }); wire(fuse, 'MODEL', s, 'model'); s.mode = 2",
        "progress",
    ),
    "in a subgraph": (
        """const s = make('KSampler', { steps: 9 }); wire(fuse, 'MODEL', s, 'model')
        graph.convertToSubgraph(new Set([s]))""",
        "steps",
    ),
    "in a subgraph, in part": (
        """const s = make('KSampler', { steps: 9, denoise: 0.6 }); wire(fuse, 'MODEL', s, 'model')
        graph.convertToSubgraph(new Set([s]))""",
        "progress",
    ),
}


@CLASSIC
@pytest.mark.parametrize("name", GRAPHS)
def test_steps_only_where_the_graph_tells_them(opened, name):
    build, kind = GRAPHS[name]
    load(opened, workflow(STEPS))
    opened.evaluate(f"() => {{ {KIT} {build} }}")
    opened.evaluate("klora.turn('progress', 'auto')")
    show(opened, sent(made_up(40)))
    assert opened.evaluate(COLUMNS) == kind
    if kind == "steps":
        assert f"{STEPS} steps" in opened.evaluate("klora.root().querySelector('.klora-when').textContent")


@CLASSIC
def test_the_widget_chooses_how_progress_is_counted(opened):
    load(opened, workflow(STEPS))
    opened.evaluate("app.rootGraph.nodes.find((n) => n.type === 'KSampler').widgets.at(-1).value = 0.6")
    show(opened, sent(made_up(40)))
    hint = "klora.root().querySelector('.klora-hint').textContent"
    for mode, kind, told in (
        ("auto", "progress", ""),
        ("steps", "steps", "not yet run"),
        ("noise level", "progress", "not yet run"),
    ):
        opened.evaluate("(mode) => klora.turn('progress', mode)", mode)
        opened.wait_for_function(f"{COLUMNS} === '{kind}'")
        assert opened.evaluate(hint) == told


def test_a_pack_that_is_there_twice_draws_one_map_and_says_so(chromium, tmp_path):
    copy = tmp_path / "another-k-lora"
    left_out = shutil.ignore_patterns(".venv", ".git", "build", "demo", "node_modules", "tests", "bench")
    shutil.copytree(REPO, copy, ignore=left_out)
    lines: list[Any] = []
    with serving("sd15", extra_nodes=[copy]) as twice, page(chromium, twice, hear=lines.append) as opened:
        load(opened, fresh(4))
        run(opened)
        opened.wait_for_function("klora.root()?.dataset.draws > 0")
        assert opened.evaluate("document.querySelectorAll('.klora-map').length") == 1
        assert opened.evaluate("app.extensions.filter((e) => e.name === 'KLoRA.LiveMap').length") == 1
    ours = [line for line in lines if "k-lora" in line.text.lower()]
    assert [line.type for line in ours] == ["warning"]
    for folder in ("k-lora", "another-k-lora"):
        assert f"/extensions/{folder}/js/extension.js" in ours[0].text
