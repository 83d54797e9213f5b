// Evaluates for the tests what is painted by hand, task by task.

import { readBlocks, strengthIn, writeBlocks } from '../../../web/js/decision/blocks.js'
import { progressColumns, stepColumns } from '../../../web/js/decision/columns.js'
import { winnersAt } from '../../../web/js/decision/decision.js'
import { readDocument } from '../../../web/js/decision/document.js'
import { readCurve, strengthAt, windowOf } from '../../../web/js/decision/when.js'
import { rowPlaces } from '../../../web/js/graph/rows.js'
import { deciderOf } from '../../../web/js/methods/index.js'
import { rowsThatRan, stroked } from '../../../web/js/methods/rows.js'
import { answer } from './lines.mjs'

/** @type {Record<string, (asked: any) => any>} */
const TASKS = {
  /** The strengths of a text in `places`, or null where it can't be read. */
  blocks({ text, places }) {
    const read = readBlocks(text)
    return read && places.map((/** @type {any} */ place) => strengthIn(read, place))
  },
  write: ({ blocks }) => writeBlocks(blocks),
  curve: ({ when, xs }) => readCurve(when.curve) && xs.map((/** @type {number} */ x) => strengthAt(when, x)),
  window: ({ xs, first, last }) => windowOf(Float64Array.from(xs), first, last),
  /** A LoRA's row after strokes one after another on the map of a document; null from the first that can't be. */
  strokes({ document, lora, strokes, steps }) {
    const { xs } = columnsOf(steps)
    let row = rowsThatRan(document)[lora]
    for (const stroke of strokes) {
      if (row) row = stroked(stroke, row, { document, lora, xs })
    }
    return row
  },
  /** The row of each LoRA of a document behind the node `compose`, by its id, or why it has none. */
  places({ nodes, document }) {
    const { graph, at } = graphOf(nodes)
    return rowPlaces(at.compose, document, graph).map(({ node, why }) => why ?? node.id)
  },
  /** What is drawn where rows say this and `painting` is painted. */
  drawn({ document, rows, painting = null, steps }) {
    const plan = readDocument(document)
    const decider = plan && deciderOf(plan)
    if (!plan || !decider) return null
    const settings = decider.settings((_, otherwise) => otherwise, plan, { rows, painting })
    const decision = decider.decide(plan, settings, columnsOf(steps))
    const { slots, candidates } = decision.document ?? plan
    return {
      slots: slots.map(({ name }) => name),
      labels: candidates.map(({ label }) => label),
      colours: candidates.map(({ dark }) => dark),
      cells: slots.map((_, slot) => [...decision.columns.xs.keys()].map((column) => {
        const [winner] = winnersAt(decision, slot, column)
        return [candidates[winner]?.label ?? null, decision.depths?.[slot * decision.columns.count + column] ?? 1]
      })),
      about: slots.map((_, slot) => decision.about(slot, 'en')),
      beyond: settings.beyond,
      asRan: decider.same(settings, decider.settingsOf(plan))
    }
  }
}

/**
 * A graph of the host's kind: `links` names where each input comes from, `values` are widgets.
 * @param {Record<string, any>} nodes
 */
function graphOf(nodes) {
  const graph = { nodes: /** @type {any[]} */ ([]), getNodeById: (/** @type {string} */ id) => at[id] }
  /** @type {Record<string, any>} */
  const at = Object.fromEntries(Object.entries(nodes).map(([id, { type, mode = 0, values = {}, links = {} }]) => {
    const inputs = Object.keys(links).map((name) => ({
      name, type: name === 'set' ? 'LORA_SET' : name.toUpperCase(), widget: name in values ? { name } : undefined
    }))
    const widgets = Object.entries(values).map(([name, value]) => ({ name, value }))
    const getInputLink = (/** @type {number} */ slot) => {
      const from = Object.values(links)[slot]
      return from ? { origin_id: from, origin_slot: 0 } : null
    }
    return [id, { id, type, mode, graph, inputs, widgets, getInputLink, outputs: [{}] }]
  }))
  graph.nodes = Object.values(at)
  return { graph, at }
}

/** @param {number | null} steps */
const columnsOf = (steps) => (steps ? stepColumns(steps) : progressColumns(30))

await answer(TASKS)
