"""The map's button for equal shares, and what the loader tells of its files, in both renderers."""

from __future__ import annotations

from tests.support.browser.live_page import frames, shot
from tests.support.browser.undo import CHANGED, step_back

EVEN = "klora.root().querySelector('.klora-even')"
BALANCE = "klora.fuse().widgets.find((widget) => widget.name === 'balance')"
SHARE = "Number.parseInt(klora.root().querySelector('.klora-share').innerText)"
LABEL = """(name) => app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')
  .outputs.find((output) => output.name === name).label"""


def test_the_button_sets_the_balance_of_equal_shares(ran):
    ran.evaluate("klora.turn('balance', -0.8)")
    frames(ran)
    far = ran.evaluate(SHARE)
    said = ran.evaluate(f"{EVEN}.textContent")
    ran.evaluate(f"{EVEN}.click()")
    frames(ran)
    balance = ran.evaluate(f"{BALANCE}.value")
    assert said == f"auto: balance {balance:g}" and -0.8 < balance < 1
    assert abs(ran.evaluate(SHARE) - 50) < min(10, abs(far - 50))
    shot(ran, "even")
    ran.evaluate("klora.turn('balance', 0)")
    frames(ran)
    assert ran.evaluate(f"{BALANCE}.value") == 0, "it stays a slider that a hand can turn"


def test_the_loader_tells_the_base_model_of_its_files(ran):
    ran.wait_for_function(f"({LABEL})('base_model') === 'base_model: SD1.5'")
    assert ran.evaluate(LABEL, "subject_words") is None, "its file has no metadata"
    ran.evaluate(
        """() => {
          const node = app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')
          const { ds, canvas } = app.canvas
          ds.scale = 1
          ds.offset = [canvas.clientWidth / 3 - node.pos[0], canvas.clientHeight / 3 - node.pos[1]]
          app.canvas.setDirty(true, true)
        }"""
    )
    ran.wait_for_timeout(400)
    shot(ran, "loader")
    if ran.renderer == "vue":
        assert ran.get_by_text("base_model: SD1.5").count() == 1


SAID = """app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')
  .widgets.find((widget) => widget.name === 'klora_hint')?.element.textContent"""
CHOOSE = """(file) => {
  const node = app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair')
  const widget = node.widgets.find((widget) => widget.name === 'style_lora')
  widget.value = file
  widget.callback(file)
}"""


def test_the_loader_says_before_a_run_that_a_file_is_for_another_model(ran):
    own = ran.evaluate("app.rootGraph.nodes.find((node) => node.type === 'KLoRALoadPair').widgets[1].value")
    assert ran.evaluate(SAID) is None
    ran.evaluate(CHOOSE, "tiny-style-sdxl.safetensors")
    ran.wait_for_function(
        f"({SAID}) === 'style: tiny-style-sdxl.safetensors is an SDXL LoRA, the model is SD1.5: '"
        " + 'choose another LoRA or another model.'"
    )
    ran.wait_for_timeout(400)
    shot(ran, "loader-stranger")
    ran.evaluate(CHOOSE, own)
    ran.wait_for_function(f"({SAID}) === undefined")


def test_the_line_on_a_loader_is_the_living_nodes_also_after_undo(ran):
    shown = "[...document.querySelectorAll('.klora-line')].map((line) => line.textContent).join('|')"
    said = "style: tiny-style-sdxl.safetensors is an SDXL LoRA, the model is SD1.5: "
    said += "choose another LoRA or another model."
    ran.evaluate(CHOOSE, "tiny-style-sdxl.safetensors")
    ran.wait_for_function(f"({shown}) === '{said}'")
    ran.evaluate(CHANGED)
    ran.evaluate(f"() => {{ klora.turn('balance', 0.7); {CHANGED} }}")
    step_back(ran)
    ran.wait_for_function(f"({shown}) === '{said}'")
    ran.evaluate(CHOOSE, "tiny-style-sd15.safetensors")
    ran.wait_for_function(f"({shown}) === ''")


MENDS = "[...klora.root().querySelectorAll('.klora-mends button')].map((button) => button.textContent)"


def test_the_two_questions_are_buttons_that_mend(ran):
    ran.evaluate("klora.turn('balance', 0)")
    frames(ran)
    style, subject = ran.evaluate(MENDS)
    assert style.startswith("style weak? balance ") and subject.startswith("subject lost? balance -")
    share = ran.evaluate("parseInt(klora.root().querySelector('.klora-share').innerText)")
    ran.locator(".klora-mends button").nth(1).click()
    frames(ran)
    assert ran.evaluate("klora.widget('balance').value") == float(subject.rsplit(" ", 1)[1])
    assert ran.evaluate("parseInt(klora.root().querySelector('.klora-share').innerText)") > share
    ran.evaluate("klora.turn('balance', -0.7)")
    frames(ran)
    assert ran.evaluate(MENDS)[1] == "subject lost? schedule s*"
    ran.locator(".klora-mends button").nth(1).click()
    frames(ran)
    assert ran.evaluate("klora.widget('schedule').value") == "s*"
    covered = ran.evaluate(
        """() => {
          const box = (kind) => klora.root().querySelector(kind).getBoundingClientRect()
          const [button, where] = [box('.klora-even'), box('.klora-where')]
          return button.top < where.bottom && button.bottom > where.top
        }"""
    )
    assert not covered
    shot(ran, "mends")
