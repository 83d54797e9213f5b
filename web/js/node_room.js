// The room that the map takes on its node, and what the workflow remembers of it.

const PROPERTY = 'klora_map'

export class NodeRoom {
  #app
  #node
  #widget = null

  constructor(app, node) {
    this.#app = app
    this.#node = node
  }

  get #kept() {
    return this.#node.properties?.[PROPERTY] ?? {}
  }

  get open() {
    return this.#kept.open !== false
  }

  /** Grows the node for its map, unless the saved node is as high already. */
  take(widget) {
    this.#widget = widget
    if (!this.#kept.height) this.#resize(() => this.#wanted())
    else this.#app.canvas?.setDirty(true, true)
    this.#keep({ open: this.open, height: this.#wanted() })
    widget.options.afterResize = () => this.#keep({ ...this.#kept, height: this.#taken() })
  }

  /** Shrinks the node by the room that was kept for a map that does not come. */
  giveBack() {
    const { height, ...rest } = this.#kept
    if (!height) return
    this.#resize(() => -height)
    this.#keep(rest)
  }

  /** Folds or unfolds: the node loses or gains what the map does. */
  fold(open) {
    const { graph } = this.#node
    graph?.beforeChange?.()
    const before = this.#taken()
    const after = open ? Math.max(this.#kept.unfolded ?? 0, this.#wanted()) : this.#wanted()
    this.#resize(() => after - before)
    this.#keep({ open, height: after, ...(open ? {} : { unfolded: before }) })
    graph?.afterChange?.()
  }

  #wanted() {
    return this.#widget.computeLayoutSize(this.#node).minHeight
  }

  #taken() {
    return Math.max(this.#widget.computedHeight ?? 0, this.#wanted())
  }

  #resize(difference) {
    const [width, height] = this.#node.size
    const least = this.#node.computeSize()[1]
    this.#node.setSize([width, Math.max(least, height + difference())])
    this.#app.canvas?.setDirty(true, true)
  }

  #keep(kept) {
    this.#node.properties ??= {}
    this.#node.properties[PROPERTY] = kept
  }
}
