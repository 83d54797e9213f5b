// How high the node is with its map folded and unfolded, and what the workflow remembers of it.

import { changing } from '../../graph/graph.js'

const PROPERTY = 'klora_map'

export class NodeHeight {
  #app
  #node
  #height = 0
  /** Its rows at the last look. @type {any[]} */
  #rows = []

  /** @param {any} app @param {any} node */
  constructor(app, node) {
    this.#app = app
    this.#node = node
  }

  get open() {
    return this.#kept.open !== false
  }

  get #kept() {
    return this.#node.properties?.[PROPERTY] ?? {}
  }

  /** Vue nodes are as high as their elements make them; on the canvas the node's size rules. */
  get #byElements() {
    return this.#app.extensionManager?.setting?.get?.('Comfy.VueNodes.Enabled') === true
  }

  /** Room for a map that has just been put on the node. */
  take() {
    if (!this.#byElements) this.#resize(Math.max(this.#node.size[1], this.#node.computeSize()[1]))
  }

  /**
   * The saved height, once all else of a node was loaded: the host loses it, since choosing a schedule, as
   * loading does, resets it.
   * @param {number | undefined} height
   */
  restore(height) {
    if (!height) return
    this.#resize(this.#possible(height))
  }

  /** A choice that brings rows of its own makes the host forget the height: it stays. */
  keep() {
    if (this.#byElements) return
    const rows = (this.#node.widgets ?? []).filter((/** @type {any} */ { serialize }) => serialize !== false)
    const others = this.#rows.length && this.#rows.some((row) => !rows.includes(row))
    if (others && this.#node.size[1] < this.#height) this.#resize(this.#possible(this.#height))
    this.#rows = rows
    this.#height = this.#node.size[1]
  }

  /**
   * Folds or unfolds with `change()`, by which the map loses or gains `difference` of its height, or what it lost
   * when it was folded: the node does the same.
   * @param {boolean} open @param {number} difference @param {() => void} change
   */
  fold(open, difference, change) {
    changing(this.#node.graph, () => {
      const before = this.#node.size[1]
      const wanted = open ? before + (this.#kept.folded ?? difference) : before - difference
      change()
      const height = this.#possible(wanted)
      this.#resize(height)
      this.#node.properties ??= {}
      this.#node.properties[PROPERTY] = open ? { open } : { open, folded: before - height }
    })
  }

  /** No less than the host makes of it when it loads, Vue nodes included. @param {number} height */
  #possible(height) {
    return Math.max(height, this.#node.computeSize()[1])
  }

  /** @param {number} height */
  #resize(height) {
    this.#node.setSize([this.#node.size[0], height])
    this.#app.canvas?.setDirty(true, true)
  }
}
