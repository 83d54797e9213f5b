// The room that the map takes on its node, and what the workflow remembers of it.

const PROPERTY = 'klora_map'
// What the canvas puts between two widgets.
const SPACING = 4

export class NodeRoom {
  #app
  #node
  /** @type {any} */
  #widget = null

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

  /** Grows the node for its map, unless the saved node is as high already. @param {any} widget */
  take(widget) {
    this.#widget = widget
    // The host may have lost the saved height: choosing a schedule, as loading does, resets it.
    const { height } = this.#kept
    if (!this.#byElements) this.#resize(height ? Math.max(0, height - this.#taken()) : this.#wanted())
    this.#keep({ ...this.#kept, open: this.open, height: height ?? this.#wanted() })
    widget.options.afterResize = () => this.#keep({ ...this.#kept, height: this.#taken() })
    this.#app.canvas?.setDirty(true, true)
  }

  /** Shrinks the node by the room that was kept for a map that does not come. */
  giveBack() {
    const { height, ...rest } = this.#kept
    if (!height) return
    this.#resize(-height)
    this.#keep(rest)
  }

  /**
   * Folds or unfolds with `change()`: the node loses or gains what the map does.
   * @param {boolean} open @param {() => void} change
   */
  fold(open, change) {
    const { graph } = this.#node
    graph?.beforeChange?.()
    const before = this.#taken()
    change()
    const after = this.#wanted()
    const changed = this.#resize(open ? (this.#kept.folded ?? after - before) : after - before)
    this.#keep({ open, height: before + changed, ...(open ? {} : { folded: -changed }) })
    graph?.afterChange?.()
  }

  /** The least height of the map. */
  #wanted() {
    const { minHeight } = this.#widget.computeLayoutSize(this.#node)
    return this.#byElements ? minHeight - 2 * this.#widget.margin : minHeight + SPACING
  }

  /** What the map has of the node's height now. */
  #taken() {
    if (this.#byElements) return Math.max(this.#widget.element.offsetHeight, this.#wanted())
    return this.#node.size[1] - (this.#node.computeSize()[1] - this.#wanted())
  }

  /**
   * Changes the node's height, not below its content, and returns by how much it did.
   * @param {number} difference
   */
  #resize(difference) {
    const [width, height] = this.#node.size
    const wanted = Math.max(this.#least(), height + difference)
    this.#node.setSize([width, wanted])
    this.#app.canvas?.setDirty(true, true)
    return wanted - height
  }

  /** What the host makes of the node's height when it loads: never less than the canvas would need. */
  #least() {
    const canvas = this.#node.computeSize()[1]
    if (!this.#byElements || !this.#widget) return canvas
    // There it has no map yet.
    return canvas - this.#widget.computeLayoutSize(this.#node).minHeight - SPACING
  }

  /** @param {Record<string, any>} kept */
  #keep(kept) {
    this.#node.properties ??= {}
    this.#node.properties[PROPERTY] = kept
  }
}
