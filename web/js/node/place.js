// Where an element of a node's widget is in the page. Nodes 2.0 mounts it once for a node's id: after undo, which
// makes the nodes anew, the page would keep the element of the node that is gone.

import { locatorOf } from '../graph/graph.js'

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
