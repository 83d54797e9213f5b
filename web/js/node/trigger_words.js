// The trigger words of a loader's files: a click on them, where its outputs show them, puts them into the clipboard.
// So does the node's menu.

const HALF_ROW = 10
/** Nearer to an output's dot a click begins a wire. */
const DOT = 30
const LONGEST = 40
const SHOWS = 2500

export class TriggerWords {
  #app
  #words
  /** By loader, the words by the output that shows them. @type {WeakMap<object, Map<string, string>>} */
  #of = new WeakMap()

  /** @param {any} app @param {() => import('../view/words.js').Words} words */
  constructor(app, words) {
    this.#app = app
    this.#words = words
  }

  /** @param {any} node @param {Map<string, string>} byOutput */
  keep(node, byOutput) {
    if (!this.#of.has(node)) this.#listen(node)
    this.#of.set(node, byOutput)
  }

  /** What the menu of a node offers beside the host's own. @param {any} node */
  menu(node) {
    return [...(this.#of.get(node)?.values() ?? [])].map((text) => ({
      content: `${this.#words().copy}: ${text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text}`,
      callback: () => this.#copy(text)
    }))
  }

  /** In Nodes 2.0 an output's words are an element. */
  watch() {
    document.addEventListener('click', ({ target }) => {
      const id = target instanceof Element && target.closest('[data-node-id]')?.getAttribute('data-node-id')
      if (!id) return
      const node = this.#app.canvas?.graph?.getNodeById(id)
      const said = target.textContent?.trim()
      const output = node?.outputs?.find((/** @type {any} */ one) => one.label === said)
      this.#copyOf(node, output)
    }, { capture: true, passive: true })
  }

  /** On the canvas they are drawn. @param {any} node */
  #listen(node) {
    const before = node.onMouseDown
    node.onMouseDown = (/** @type {any} */ event, /** @type {[number, number]} */ at, /** @type {any[]} */ ...rest) =>
      this.#copyOf(node, outputAt(node, at)) || before?.call(node, event, at, ...rest)
  }

  /** @param {any} node @param {any} output @returns {boolean} whether there were words */
  #copyOf(node, output) {
    const text = output && this.#of.get(node)?.get(output.name)
    if (text) this.#copy(text)
    return Boolean(text)
  }

  /** @param {string} text */
  async #copy(text) {
    if (!(await copied(text))) return
    const toast = this.#app.extensionManager?.toast
    toast?.add?.({ severity: 'success', summary: this.#words().copied, detail: text, life: SHOWS })
  }
}

/** The output whose words are drawn at a place in the node. @param {any} node @param {[number, number]} at */
function outputAt(node, [x, y]) {
  if (node.flags?.collapsed || x < node.size[0] / 2) return null
  return node.outputs?.find((/** @type {any} */ _, /** @type {number} */ slot) => {
    const [dot, row] = node.getOutputPos(slot)
    return Math.abs(y + node.pos[1] - row) < HALF_ROW && x + node.pos[0] < dot - DOT
  })
}

/** @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copiedByHand(text)
  }
}

/** By a page that came over plain http from another machine, where browsers have no clipboard. @param {string} text */
function copiedByHand(text) {
  const field = document.createElement('textarea')
  field.value = text
  Object.assign(field.style, { position: 'fixed', opacity: '0' })
  document.body.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  return done
}
