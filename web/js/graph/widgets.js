// What the node is set to now, read from its widgets by name: some come and go with others.

import { carriesLoras, changing, inputOf, sourceOf, sourceWidget, upstreamOf, widgetValue } from './graph.js'

/** A node's widget, also where it belongs to a choice: `method.balance`. @param {any} node @param {string} name */
const widgetOf = (node, name) =>
  node.widgets?.find((/** @type {any} */ one) => one.name === name) ??
  node.widgets?.find((/** @type {any} */ one) => one.name.endsWith(`.${name}`))

/**
 * Reads a widget of `node`, or what a primitive or a subgraph's own widget sets it to.
 * @param {any} node @param {any} rootGraph @returns {(name: string, otherwise: any) => any}
 */
export const readerOf = (node, rootGraph) => (name, otherwise) => {
  const widget = widgetOf(node, name)
  return (widget && widgetValue(node, widget.name, rootGraph)) ?? otherwise
}

/** What the page calls a widget. @param {any} node @param {string} name @returns {string} */
export const labelOf = (node, name) => widgetOf(node, name)?.label ?? name

/**
 * Sets a widget of `node`, or the one that a link takes its value from, as a hand would.
 * @param {any} node @param {string} name @param {any} value @param {any} app
 */
export const setWidget = (node, name, value, app) => setWidgets(node, { [name]: value }, app)

/**
 * The same of several at once, as one change: what is that already is left alone.
 * @param {any} node @param {Record<string, any>} values @param {any} app
 */
export function setWidgets(node, values, app) {
  const found = Object.entries(values).flatMap(([name, value]) => {
    const own = widgetOf(node, name)
    const source = own && sourceWidget(node, own.name, app.rootGraph)
    return source && source.widget.value !== value ? [{ ...source, value }] : []
  })
  if (!found.length) return
  const set = () => {
    for (const { node: owner, widget, value } of found) {
      widget.value = value
      widget.callback?.(value, app.canvas, owner)
    }
  }
  changing(node.graph, set, app.canvas)
  app.canvas?.setDirty?.(true, true)
}

/** The node's widgets that a file keeps. @param {any} node @returns {any[]} */
export const ownWidgets = ({ widgets = [] }) => widgets.filter(isSaved)

/** The node's own widgets as one text, whatever is linked to them. @param {any} node */
export const ownSettings = (node) => JSON.stringify(ownWidgets(node).map(({ name, value }) => [name, value]))

/**
 * Settings of a node as one text: those of `names`, or all.
 * @param {any} node @param {any} rootGraph @param {string[]} [names]
 */
export function settingsText(node, rootGraph, names) {
  const asked = names ?? (node.widgets ?? []).filter(isSaved).map((/** @type {any} */ { name }) => name)
  const read = readerOf(node, rootGraph)
  return JSON.stringify(asked.map((/** @type {string} */ name) => [name, read(name, null)]))
}

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
 * Whether the nodes that `node` takes its LoRAs from load the files that the document is about, each by the input of
 * its role, or all from one set: true, false, or null where the graph does not tell.
 * @param {any} node @param {{ loras: { name: string, role: string }[] }} plan @param {any} rootGraph
 */
export function loadsFilesOf(node, plan, rootGraph) {
  const each = plan.loras.map(({ name, role }) => {
    const slot = inputOf(node, role)
    const files = slot < 0 ? filesAbove(node, rootGraph) : filesOf(sourceOf(node, slot, rootGraph))
    return files.length && isFile(name) ? files.includes(name) : null
  })
  if (each.includes(false)) return false
  return each.includes(null) ? null : true
}

/** The files that `node` and all before it name. @param {any} node @param {any} rootGraph */
export const allFilesAbove = (node, rootGraph) => filesIn([...upstreamOf(node, rootGraph)])

/** @param {any} node @param {any} rootGraph */
const filesAbove = (node, rootGraph) => filesIn([...upstreamOf(node, rootGraph, carriesLoras)])

/**
 * The files behind one output: of a loader of several the one that the output is named after.
 * @param {{ node: any, output?: string } | null} source
 */
export function filesOf(source) {
  const named = source?.node.widgets?.filter((/** @type {any} */ { name }) => name.startsWith(`${source.output}_`)) ?? []
  return named.length ? filesIn([{ widgets: named }]) : filesIn([source?.node])
}

/** @param {any[]} nodes @returns {string[]} */
const filesIn = (nodes) =>
  nodes.flatMap((node) => node?.widgets ?? []).map((widget) => widget.value).filter(isFile)

/** @param {any} value @returns {value is string} */
export const isFile = (value) => typeof value === 'string' && /\.\w+$/.test(value)
