// What the node is set to now, read from its widgets by name: some come and go with others.

import { isLinked, sourceOf } from './graph.js'

/**
 * Reads a widget of `node`; what a link supplies can't be read here.
 * @param {any} node @returns {(name: string, otherwise: any) => any}
 */
export const readerOf = (node) => (name, otherwise) => {
  const widget = node.widgets?.find((/** @type {any} */ one) => one.name === name)
  return widget && !isLinked(node, name) ? widget.value : otherwise
}

/** All of a node's settings as one text. @param {any} node */
export const settingsText = (node) =>
  JSON.stringify((node.widgets ?? []).filter(isSaved).map((/** @type {any} */ { name, value }) => [name, value]))

/** @param {any} widget */
const isSaved = (widget) => widget.serialize !== false

/**
 * Calls `moved` after the callback of each widget that is not yet watched.
 * @param {any} node @param {WeakSet<object>} watched @param {() => void} moved
 */
export function watchWidgets(node, watched, moved) {
  for (const widget of (node.widgets ?? []).filter(isSaved)) {
    if (watched.has(widget)) continue
    watched.add(widget)
    const { callback } = widget
    widget.callback = function (/** @type {any[]} */ ...values) {
      const result = callback?.apply(this, values)
      moved()
      return result
    }
  }
}

/**
 * Whether the nodes at the document's LoRA inputs can still be loading the files that it is about.
 * @param {any} node @param {import('../decision/document.js').PlanDocument} plan @param {any} rootGraph
 */
export function loadsFilesOf(node, plan, rootGraph) {
  return plan.loras.every(({ name, role }) => {
    const slot = node.inputs?.findIndex((/** @type {any} */ input) => input.name === role) ?? -1
    const source = slot < 0 ? null : sourceOf(node, slot, rootGraph)?.node
    const files = (source?.widgets ?? []).map((/** @type {any} */ widget) => widget.value).filter(isFile)
    return !files.length || !isFile(name) || files.includes(name)
  })
}

/** @param {any} value */
const isFile = (value) => typeof value === 'string' && /\.\w+$/.test(value)
