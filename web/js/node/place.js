// Where an element of a node's widget is in the page. Nodes 2.0 mounts it once for a node's id: after undo, which
// makes the nodes anew, the page would keep the element of the node that is gone.

import { locatorOf } from '../graph/graph.js'
import { passGestures } from './gestures.js'

/** The node and widget that an element is of: `5/klora_map`. */
const OF = 'kloraOf'

/**
 * Puts `element` where the page still has one of the same node and widget from an earlier life of the node.
 * @param {HTMLElement} element @param {any} node @param {string} widget
 */
export function takePlace(element, node, widget) {
  if (!node.graph) return
  const of = `${locatorOf(node, node.graph.rootGraph)}/${widget}`
  element.dataset[OF] = of
  if (element.isConnected) return
  const earlier = [...document.querySelectorAll('[data-klora-of]')]
  earlier.find((one) => one instanceof HTMLElement && one.dataset[OF] === of)?.replaceWith(element)
}

/**
 * Puts `element` on a node as its widget, called `label`, that no file keeps; until `signal` aborts, gestures over it
 * are the page's. `least` is its height at least, `most` at most, where there is one.
 * @param {any} node @param {string} name @param {HTMLElement} element
 * @param {{ app: any, label: string, signal: AbortSignal, least: () => number, most?: () => number | undefined }} of
 */
export function mount(node, name, element, { app, label, signal, least, most = () => undefined }) {
  passGestures(element, app, signal)
  // A node that was removed and put back still has the widget of its first life.
  const old = node.widgets?.find((/** @type {any} */ widget) => widget.name === name)
  if (old) node.removeWidget(old)
  const framed = (/** @type {number | undefined} */ height) => height === undefined ? undefined : height + 2 * widget.margin
  const widget = node.addDOMWidget(name, name, element, {
    serialize: false,
    hideOnZoom: false,
    getValue: () => '',
    setValue: () => {},
    getMinHeight: () => framed(least()),
    getMaxHeight: () => framed(most())
  })
  Object.assign(widget, { serialize: false, label })
}
