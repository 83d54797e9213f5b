// A text widget that another one writes: folded away with the node's advanced inputs, and still there to be read,
// edited and wired.

const OPEN_HEIGHT = 60

/**
 * Nodes 2.0 folds advanced inputs by itself; the canvas has the switch, and leaves their room.
 * @param {any} node @param {string} name
 */
export function fold(node, name) {
  const widget = node.widgets?.find((/** @type {any} */ one) => one.name === name)
  if (!widget) return
  const isLinked = () => node.inputs?.some((/** @type {any} */ input) => input.widget?.name === name && input.link != null)
  const isOpen = () => node.showAdvanced || isLinked()
  Object.defineProperty(widget, 'advanced', { get: () => !isLinked(), set: () => {}, configurable: true })
  widget.options.advanced = true
  widget.options.getMinHeight = () => (isOpen() ? OPEN_HEIGHT : 0)
  widget.options.getMaxHeight = () => (isOpen() ? undefined : 0)
}
