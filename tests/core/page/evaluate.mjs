// Evaluates the page's maths for the tests: a list of { task, ... } as JSON on stdin, their results on stdout.

import { columnsFor, joined } from '../../../web/js/decision/columns.js'
import { sharesOf, stretchesOf } from '../../../web/js/decision/decision.js'
import { nameInBlock, readDocument } from '../../../web/js/decision/document.js'
import { Runs } from '../../../web/js/decision/runs.js'
import { deciderOf } from '../../../web/js/methods/index.js'

/** @type {Record<string, (asked: any) => any>} */
const TASKS = {
  /** Decisions of a document, for the settings in `widgets` and the columns of `known`. */
  decide({ document, widgets, known }) {
    const plan = readDocument(document)
    const decider = plan && deciderOf(plan)
    if (!plan || !decider) return null
    const settings = decider.settings((name, otherwise) => widgets?.[name] ?? otherwise, plan)
    const decision = decider.decide(plan, settings, columnsFor(known))
    const { columns, passes, choices, curve, facts } = decision
    const row = columns.count * passes
    return {
      kind: columns.kind,
      xs: columns.xs,
      rows: plan.slots.map((_, slot) => choices.subarray(slot * row, (slot + 1) * row)),
      shares: sharesOf(decision, plan.candidates.length),
      stretches: plan.slots.map((_, slot) => stretchesOf(decision, slot)),
      scales: curve && Array.from(columns.xs, (x) => curve.at(x)),
      even: decider.even ? [0.3, 0.5, 0.7].map((share) => decider.even?.(plan, settings, columns, share)) : null,
      asRan: decider.same(settings, decider.settingsOf(plan)),
      facts
    }
  },
  columns: ({ known }) => columnsFor(known),
  joined: ({ runs }) => joined(runs),
  nameInBlock: ({ slot }) => nameInBlock(slot),
  /** What is drawn after each of `events`, as [mode, shape] asks for it. */
  runs({ events, asks }) {
    const runs = new Runs()
    for (const { begin, run, mode, shape } of events) begin ? runs.begin() : runs.add(run, mode, shape)
    return asks.map((/** @type {[string, string]} */ [mode, shape]) => runs.shown(mode, shape))
  }
}

/** @param {string} _ @param {any} value */
function plain(_, value) {
  if (ArrayBuffer.isView(value)) return Array.from(/** @type {any} */ (value))
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

let text = ''
for await (const part of process.stdin) text += part
const results = JSON.parse(text).map((/** @type {any} */ asked) => TASKS[asked.task](asked))
process.stdout.write(JSON.stringify(results, plain))
