// A node's advanced inputs on the classic canvas: one row shows and hides them. Nodes 2.0 has a row of its own, and
// both keep in `showAdvanced`, which the host saves with the node, whether they are shown.

import { changing, isLinked, slotOf } from '../graph/graph.js'
import { watchWidgets } from '../graph/widgets.js'

const ROW = 'klora_advanced'
/** By how much the node grew for them, with the node in the workflow. */
const PROPERTY = 'klora_advanced'
const ALWAYS = 'Comfy.Node.AlwaysShowAdvancedWidgets'
const BY_ELEMENTS = 'Comfy.VueNodes.Enabled'
const FEWEST = 2
const HEIGHT = 20
// Of a text of many lines.
const TEXT = 80
// The canvas adds 4 to the height of each row.
const NONE = -4

export class Advanced {
  #app
  #node
  #words
  /** @type {any} */
  #row
  /** Inputs that the row hides. @type {Set<any>} */
  #hidden = new Set()
  /** @type {WeakSet<object>} */
  #watched = new WeakSet()

  /** @param {any} app @param {any} node @param {import('../view/words.js').Words} words */
  constructor(app, node, words) {
    this.#app = app
    this.#node = node
    this.#words = words
    const options = { serialize: false, canvasOnly: true }
    this.#row = node.addWidget('button', ROW, null, () => this.toggle(), options)
    this.#row.serialize = false
    this.#row.computeSize = () => [0, this.#row.hidden ? NONE : HEIGHT]
    // The menu of the node calls it, too.
    node.toggleAdvanced = () => this.toggle()
    this.look()
    const byElements = app.extensionManager?.setting?.get?.(BY_ELEMENTS) === true
    if (!byElements) node.setSize([node.size[0], node.computeSize()[1]])
  }

  /** Whether a node has, or can have, as many advanced inputs as are worth a row. @param {any} node */
  static isFor(node) {
    const { input } = node.constructor.nodeData ?? {}
    return countOf(input) >= FEWEST
  }

  /** Looks again which inputs there are, and which of them are linked. */
  look() {
    const node = this.#node
    watchWidgets(node, this.#watched, () => this.look())
    const widgets = node.widgets.filter((/** @type {any} */ { options }) => options?.advanced)
    const always = this.#app.extensionManager?.setting?.get?.(ALWAYS) === true
    this.#row.hidden = always || widgets.length < FEWEST
    this.#hidden.clear()
    for (const widget of widgets) {
      // A wire ends where it can be seen.
      const hides = !this.#row.hidden && !isLinked(node, slotOf(node, widget.name))
      if (hides) this.#hidden.add(widget)
      widget.advanced = hides
      const height = widget.element ? TEXT : HEIGHT
      widget.computeSize ??= () => [0, this.#hidden.has(widget) && !node.showAdvanced ? NONE : height]
    }
    this.#label()
  }

  /** The other inputs move, and the node grows and shrinks where it has no room to give. */
  toggle() {
    const node = this.#node
    changing(node.graph, () => {
      const [width, height] = node.size
      const grown = node.properties?.[PROPERTY]?.grown ?? 0
      node.showAdvanced = !node.showAdvanced
      const least = node.computeSize()[1]
      const wanted = node.showAdvanced ? Math.max(height, least) : Math.max(height - grown, least)
      node.setSize([width, wanted])
      node.properties ??= {}
      if (wanted > height) node.properties[PROPERTY] = { grown: wanted - height }
      else delete node.properties[PROPERTY]
    })
    this.#label()
    // Once more when the row has shown that it was clicked.
    requestAnimationFrame(() => this.#app.canvas?.setDirty?.(true, true))
  }

  #label() {
    const node = this.#node
    const set = [...this.#hidden].filter(({ name, value }) => value !== defaultOf(node, name)).length
    this.#row.label = this.#words.advanced(this.#hidden.size, set, node.showAdvanced === true)
  }
}

/** The advanced inputs of a definition, those of every choice too. @param {any} input @returns {number} */
function countOf(input) {
  const all = Object.values({ ...input?.required, ...input?.optional }).map(([, options]) => options)
  const own = all.filter((options) => options?.advanced).length
  const choices = all.flatMap((options) => options?.options ?? []).filter((option) => option?.inputs)
  return choices.reduce((sum, option) => sum + countOf(option.inputs), own)
}

/**
 * What a widget begins with by the node's definition; of a choice's own widget, such as `schedule.alpha`, by the
 * option that is chosen.
 * @param {any} node @param {string} name
 */
function defaultOf(node, name) {
  let { input } = node.constructor.nodeData ?? {}
  const parts = name.split('.')
  for (const [depth, part] of parts.entries()) {
    const [kind, options] = input?.required?.[part] ?? input?.optional?.[part] ?? []
    if (depth === parts.length - 1) return options?.default ?? (Array.isArray(kind) ? kind[0] : options?.options?.[0])
    const path = parts.slice(0, depth + 1).join('.')
    const chosen = node.widgets.find((/** @type {any} */ widget) => widget.name === path)?.value
    input = options?.options?.find((/** @type {any} */ { key }) => key === chosen)?.inputs
  }
}
