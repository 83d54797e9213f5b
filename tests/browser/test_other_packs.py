"""K-LoRA's nodes beside packs that change menus and lists on the page, and LoRA stacks of those packs.

Only where KLORA_OTHER_PACKS names a folder with checkouts of such packs (and with what they import): their
files are no part of this repository. A test whose pack is not among them is skipped.
"""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from PIL import Image

from tests.support.browser import clicks
from tests.support.browser.live_page import fresh, load, page, settle, visit
from tools.host import front_end, other_packs
from tools.serving import serving
from tools.tiny import loras, model_path

SUBJECT, STYLE = "styles/my_subject.safetensors", "styles/my_style.safetensors"
LOADER = "app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')"
FILES = f"{LOADER}?.widgets.map((widget) => widget.value)"
CENTRE = """(id) => {
  const { ds, canvas } = app.canvas
  const { pos, size } = app.rootGraph.getNodeById(id)
  ds.scale = 1
  ds.offset = [canvas.clientWidth / 2 - pos[0] - size[0], canvas.clientHeight / 3 - pos[1]]
  app.canvas.setDirty(true, true)
}"""
SINGLE = """(file) => {
  const node = LiteGraph.createNode('KLoRALoadLora')
  app.rootGraph.add(node)
  node.widgets[0].value = file
  node.pos = [-600, -600]
  return node.id
}"""
NEST = """async () => {
  const { rgthreeConfig } = await import('/rgthree/config.js')
  rgthreeConfig.features.menu_auto_nest = { subdirs: true, threshold: 1 }
}"""
# In the place of Fuse: a stack of LoRA Manager, put in roles and composed.
STACKED = """(text) => {
  const find = (type) => app.rootGraph.nodes.find((node) => node.type === type)
  const add = (type) => {
    const node = LiteGraph.createNode(type)
    app.rootGraph.add(node)
    return node
  }
  const wire = (from, output, to, input) =>
    from.connect(from.findOutputSlot(output), to, to.findInputSlot(input))
  const fuse = find('KLoRAFuse')
  const [set, compose] = ['KLoRASet', 'KLoRACompose'].map(add)
  const stacker = add('Lora Stacker (LoraManager)')
  const field = stacker.widgets.find((widget) => widget.name === 'text')
  field.value = text
  field.callback?.(text)
  wire(stacker, 'LORA_STACK', set, 'lora_stack')
  wire(set, 'set', compose, 'set')
  const loader = find('CheckpointLoaderSimple')
  wire(loader, 'MODEL', compose, 'model')
  wire(loader, 'CLIP', compose, 'clip')
  for (const name of ['model', 'clip', 'plan', 'report']) {
    const output = fuse.outputs[fuse.findOutputSlot(name)]
    for (const id of [...(output.links ?? [])]) {
      const { target_id, target_slot } = app.rootGraph.getLink(id)
      compose.connect(compose.findOutputSlot(name), app.rootGraph.getNodeById(target_id), target_slot)
    }
  }
  app.rootGraph.remove(fuse)
}"""
HINT = "klora.root().querySelector('.klora-hint').textContent"


@pytest.fixture(scope="module")
def beside(server, tmp_path_factory):
    """A server with the other packs, and two LoRAs in a folder of their own, a picture beside each."""
    packs = other_packs.folders()
    if not packs:
        pytest.skip(f"{other_packs.NAMED_IN} names no folder with other node packs")
    folder = tmp_path_factory.mktemp("loras")
    loras.ensure(["sd15"])
    for name, role in ((SUBJECT, "subject"), (STYLE, "style")):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        shutil.copy2(model_path("loras", f"tiny-{role}-sd15.safetensors"), file)
        Image.new("RGB", (32, 32), "navy").save(file.with_suffix(".png"))
    wanted = front_end.named()
    newest = front_end.root(wanted) if wanted else None
    with pytest.MonkeyPatch.context() as patch:
        # LoRA Manager keeps its list of files in the user's folder, and asks the network at its start.
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        with serving("sd15", extra_nodes=packs, loras=folder, front_end=newest) as running:
            yield running


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "vue"])
def opened(request, beside, chromium):
    with page(chromium, beside, width=1500, height=920, VueNodes__Enabled=request.param) as it:
        it.renderer = "vue" if request.param else "classic"
        it.extensions = it.evaluate("app.extensions.map(({ name }) => name)")
        yield it
        assert it.problems == []


@pytest.fixture
def loader(opened):
    """The pair loader of a fresh workflow, in view: its id."""
    load(opened, fresh(4))
    node = opened.evaluate(f"{LOADER}.id")
    centre(opened, node)
    return node


def centre(opened: Any, node: int) -> None:
    opened.evaluate(CENTRE, node)
    opened.wait_for_timeout(500)


def needs(opened: Any, extension: str) -> None:
    if extension not in opened.extensions:
        pytest.skip(f"no pack with {extension} in the folder")


def test_a_list_opens_chooses_and_outlives_a_reload(opened, beside, loader):
    clicks.choose(opened, loader, "subject_lora", SUBJECT)
    clicks.choose(opened, loader, "style_lora", STYLE)
    opened.wait_for_function(f"{LOADER}.outputs.at(-1).label === 'base_model: SD1.5'")
    # The page keeps a draft of what is open, a moment after each change.
    opened.wait_for_timeout(1500)
    visit(opened, beside)
    opened.wait_for_function(f"{LOADER}")
    assert opened.evaluate(FILES) == [SUBJECT, STYLE]


def test_a_list_that_rgthree_nests_by_folders(opened, loader):
    needs(opened, "rgthree.ContextMenuAutoNest")
    if opened.renderer == "vue":
        pytest.skip("Nodes 2.0 has lists of its own")
    opened.evaluate(NEST)
    opened.mouse.click(*opened.evaluate(clicks.WIDGET, [loader, "style_lora"]))
    clicks.entry(opened, "📁 styles").click()
    clicks.entry(opened, "my_style.safetensors").click()
    assert opened.evaluate(FILES)[1] == STYLE


def test_pysssss_tells_of_a_loaders_file(opened):
    needs(opened, "pysssss.ModelInfo")
    set_to = "'pysssss.ModelInfo.LoraNodes', 'KLoRALoadLora.lora_name'"
    opened.evaluate(f"app.extensionManager.setting.set({set_to})")
    node = opened.evaluate(SINGLE, STYLE)
    centre(opened, node)
    opened.mouse.click(*opened.evaluate(clicks.TITLE, node), button="right")
    opened.get_by_text("View Lora info...").click()
    dialog = opened.locator(".comfy-modal").filter(has_text=STYLE)
    dialog.wait_for()
    dialog.get_by_role("button", name="Close").click()


def test_a_stack_of_lora_manager_is_composed_on_the_page(opened, loader):
    needs(opened, "LoraManager.LoraStacker")
    opened.evaluate(STACKED, "<lora:my_subject:1> <lora:my_style:0.8>")
    clicks.press_run(opened)
    settle(opened)
    assert opened.evaluate("klora.plan().loras.map(({ name }) => name)") == [SUBJECT, STYLE]
    assert opened.evaluate(HINT) == ""


def many(count: int, **of_each: str) -> dict[str, Any]:
    """The same inputs for each of a stacker's places: `name="lora_name"` and so on; the pair first."""
    files = [SUBJECT, STYLE, *["None"] * (count - 2)]
    values = {"name": files, "switch": ["On", "On", *["Off"] * (count - 2)], "weight": [1.0] * count}
    return {
        f"{prefix}_{place}": values[kind.split("_")[0]][place - 1]
        for kind, prefix in of_each.items()
        for place in range(1, count + 1)
    }


STACKERS = {
    "LoRA Stacker": {
        "input_mode": "simple",
        "lora_count": 3,
        **many(50, name="lora_name", weight="lora_wt", weight_2="model_str", weight_3="clip_str"),
    },
    "CR LoRA Stack": many(
        3, name="lora_name", switch="switch", weight="model_weight", weight_2="clip_weight"
    ),
    "Lora Stacker (LoraManager)": {
        "text": "",
        "loras": {
            "__value__": [
                {"name": name, "strength": 1.0, "active": True} for name in ("my_subject", "my_style")
            ]
        },
    },
}


@pytest.mark.parametrize("kind", STACKERS)
def test_a_stack_becomes_a_set(beside, kind):
    if kind not in beside.object_info():
        pytest.skip(f"no pack with {kind} in the folder")
    run = beside.run(
        {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "tiny-sd15.safetensors"}},
            "2": {"class_type": kind, "inputs": STACKERS[kind]},
            "3": {
                "class_type": "KLoRASet",
                "inputs": {"strength": 1.0, "role": "subject", "lora_stack": ["2", 0]},
            },
            "4": {
                "class_type": "KLoRACompose",
                "inputs": {
                    "model": ["1", 0],
                    "set": ["3", 0],
                    "method": "K-LoRA",
                    "method.balance": 0.0,
                    "method.schedule": "s",
                },
            },
            "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 3]}},
        }
    )
    assert run.error is None, run.error
    (report,) = run.texts("5")
    assert SUBJECT in report and STYLE in report
