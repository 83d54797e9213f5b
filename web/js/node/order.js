// LoRA Sets in a row: what one holds changes places with what its neighbour holds, and no wire has to be moved.

import { changing, inputOf } from '../graph/graph.js'

const SET = 'KLoRASet'
/** The wire that the row is made of; it stays. */
const ROW = 'set'

/**
 * What the menu of a node offers beside the host's own.
 * @param {any} node @param {import('../view/words.js').Words} words
 */
export function movesOf(node, words) {
  if (node.comfyClass !== SET) return []
  const [before, after] = [setBefore(node), setAfter(node)]
  if (!before && !after) return []
  return [
    null,
    { content: words.moveUp, disabled: !before, callback: () => before && exchange(before, node) },
    { content: words.moveDown, disabled: !after, callback: () => after && exchange(node, after) }
  ]
}

/** @param {any} node */
const setBefore = (node) => setOnly(node.getInputNode?.(inputOf(node, ROW)))

/** Where several take a set, there is none that comes after it. @param {any} node */
function setAfter(node) {
  const takers = node.getOutputNodes?.(0) ?? []
  return takers.length === 1 ? setOnly(takers[0]) : null
}

/** @param {any} node */
const setOnly = (node) => (node?.comfyClass === SET ? node : null)

/** @param {any} one @param {any} other */
function exchange(one, other) {
  const { graph } = one
  changing(graph, () => swap(one, other))
  graph.setDirtyCanvas?.(true, true)
}

/** @param {any} one @param {any} other */
function swap(one, other) {
  const names = new Set([one, other].flatMap(({ inputs }) => (inputs ?? []).map((/** @type {any} */ { name }) => name)))
  names.delete(ROW)
  const wires = [one, other].map((node) => [...names].map((name) => ({ name, from: sourceOf(node, name) })))
  for (const node of [one, other]) for (const name of names) cut(node, name)
  const [mine, yours] = wires
  for (const { name, from } of mine) join(other, name, from)
  for (const { name, from } of yours) join(one, name, from)
  for (const widget of one.widgets ?? []) {
    const twin = other.widgets?.find((/** @type {any} */ each) => each.name === widget.name)
    if (twin && widget.serialize !== false) swapValues(one, widget, other, twin)
  }
  for (const key of ['title', 'mode']) [one[key], other[key]] = [other[key], one[key]]
}

/** @param {any} one @param {any} widget @param {any} other @param {any} twin */
function swapValues(one, widget, other, twin) {
  const [mine, yours] = [widget.value, twin.value]
  widget.value = yours
  twin.value = mine
  widget.callback?.(yours, null, one)
  twin.callback?.(mine, null, other)
}

/**
 * Where the wire of an input comes from.
 * @param {any} node @param {string} name @returns {{ node: any, slot: number } | null}
 */
function sourceOf(node, name) {
  const link = node.getInputLink?.(inputOf(node, name))
  return link ? { node: node.graph.getNodeById(link.origin_id) ?? node.graph.inputNode, slot: link.origin_slot } : null
}

/** @param {any} node @param {string} name */
function cut(node, name) {
  const slot = inputOf(node, name)
  if (node.getInputLink?.(slot)) node.disconnectInput(slot)
}

/** @param {any} node @param {string} name @param {{ node: any, slot: number } | null} from */
function join(node, name, from) {
  const slot = inputOf(node, name)
  if (!from || slot < 0) return
  if (from.node.connect) from.node.connect(from.slot, node, slot)
  // A subgraph's own inputs are no node's.
  else from.node.slots?.[from.slot]?.connect(node.inputs[slot], node)
}
