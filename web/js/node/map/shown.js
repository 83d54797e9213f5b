// What the map of a node shows: what was decided of its plan, as the node and the rows of its LoRAs are set now, and
// whether a run would use that.

import { columnsFor } from '../../decision/columns.js'
import { areOf, decidedBy, withGates } from '../../decision/gates.js'
import { samplersOf } from '../../graph/samplers.js'
import { labelOf, readerOf } from '../../graph/widgets.js'
import { deciderOf } from '../../methods/index.js'
import { hintOf } from './hint.js'

const PROGRESS = 'progress'
const HALF = 0.5

/**
 * `gates` are those of the last run, and of which decisions.
 * @typedef {import('../../decision/document.js').PlanDocument} PlanDocument
 * @typedef {{ gates: import('../../decision/gates.js').Gates, of: string | null }} Gated
 * @typedef {NonNullable<ReturnType<typeof askedOf>>} Asked
 */

/** How a run's progress is counted. @param {any} node @param {any} rootGraph @param {PlanDocument | null} plan */
export const modeOf = (node, rootGraph, plan) => String(readerOf(node, rootGraph)(PROGRESS, plan?.progress.mode))

/**
 * What is to be decided, all of it in the text `seen`; null where the page can't tell.
 * @param {any} node @param {PlanDocument} plan
 * @param {{ rootGraph: any, runs: import('../../decision/runs.js').Runs, hand: import('./hand.js').Hand, setTo: string | null }} by
 */
export function askedOf(node, plan, { rootGraph, runs, hand, setTo }) {
  const decider = deciderOf(plan)
  if (!decider) return null
  const { byHand, painting } = decider.byRows ? hand.look(plan) : { byHand: undefined, painting: null }
  const settings = decider.settings(readerOf(node, rootGraph), plan, byHand)
  const mode = modeOf(node, rootGraph, plan)
  const sampler = samplersOf(node, rootGraph)
  const run = runs.shown(mode, sampler.shape)
  const columns = columnsFor({ mode, run, sampler, resolution: plan.page.steps })
  const hint = hintOf(node, rootGraph, { plan, decider, settings, mode, setTo })
  const seen = JSON.stringify([settings, painting, columns.kind, [...columns.xs], columns.run, hint])
  return { decider, settings, painting, columns, hint, seen }
}

/**
 * What the view shows of it.
 * @param {any} node @param {PlanDocument} plan @param {Asked} asked @param {Gated | null} gated
 * @returns {import('../../view/telling.js').Shown}
 */
export function shownOf(node, plan, { decider, settings, painting, columns, hint }, gated) {
  const decided = decider.decide(plan, settings, columns)
  const { gates, of } = gated ?? {}
  const isOf = gates && areOf(gates, plan) && (of ?? decidedBy(plan)) === decidedBy(plan)
  const decision = isOf ? withGates(decided, gates, plan, columns) : decided
  const value = decider.even?.(plan, settings, decision.columns, HALF) ?? null
  const dial = decider.dial ?? ''
  const even = value === null ? null : { dial, label: labelOf(node, dial), value }
  const mends = decider.mends?.(plan, settings, decision.columns).map((mend) => ({ ...mend, label: labelOf(node, mend.dial) }))
  return { plan: decision.document ?? plan, decision, hint, even, mends, painting }
}
