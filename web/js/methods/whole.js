// Methods of whole LoRAs: a LoRA works in all of its slots at once, or in none. What they decide follows from
// the step alone, so the page can say it of a run of any number of steps, as the Python side does.

import { stepColumns } from '../decision/columns.js'
import { NOBODY } from '../decision/decision.js'

/**
 * @typedef {import('../decision/columns.js').Columns} Columns
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {{ x: number, step: number, steps: number }} Moment
 * @typedef {{ tau: number, order: string, reserve: number, last: number }} Turns
 */

const IN_STEPS = 'steps'
const UNITS = [IN_STEPS, 'run']
const ORDERS = ['code', 'paper']
// A step's progress is at its middle, a border that float arithmetic has moved is a border still.
const EVEN = 1e-9

const FOLLOWS_NO_WIDGET = { settings: () => ({}), settingsOf: () => ({}), same: () => true }

/**
 * LoRA Switch (arXiv 2402.16843): one LoRA at a time, in turns.
 * @type {import('../decision/decision.js').Decider}
 */
export const inTurn = {
  ...FOLLOWS_NO_WIDGET,
  accepts: (document) => document.passes === 1 && areTurns(document) && hasPresence(document),
  decide(document, _, asked) {
    // Without a run's own steps a supposed run is shown, where steps are what counts.
    const supposed = document.method.counts_steps === true && asked.kind !== 'steps'
    const columns = supposed ? stepColumns(document.steps) : asked
    const active = momentsOf(columns).map((moment) => activeAt(document, moment))
    return decision(document, columns, supposed, (column) => active[column])
  }
}

/**
 * LoRA Composite and CMLoRA (arXiv 2402.16843, 2502.04923): each LoRA alone in a pass of its own, always.
 * @type {import('../decision/decision.js').Decider}
 */
export const inPasses = {
  ...FOLLOWS_NO_WIDGET,
  accepts: (document) => document.passes === document.candidates.length && hasPresence(document),
  decide: (document, _, asked) => decision(document, asked, false, (_, pass) => pass)
}

/**
 * @param {PlanDocument} document @param {Columns} columns @param {boolean} supposed
 * @param {(column: number, pass: number) => number} active
 */
function decision(document, columns, supposed, active) {
  const { slots, passes, candidates, method, facts } = document
  const choices = new Int8Array(slots.length * columns.count * passes)
  let at = 0
  for (const slot of slots) {
    const there = candidates.map(({ label }) => slot.loras.includes(label))
    for (let column = 0; column < columns.count; column++) {
      for (let pass = 0; pass < passes; pass++) {
        const lora = active(column, pass)
        choices[at++] = there[lora] ? lora : NOBODY
      }
    }
  }
  return { columns, passes, choices, curve: null, headline: method.name, facts, supposed, about: () => '' }
}

/**
 * The moment of each column: the parts of a split run count their own steps.
 * @param {Columns} columns @returns {Moment[]}
 */
function momentsOf({ count, xs, parts = [count] }) {
  const counted = parts.flatMap((steps) => Array.from({ length: steps }, (_, step) => ({ step, steps })))
  return counted.map((one, column) => ({ ...one, x: xs[column] }))
}

/** The LoRA whose turn it is. @param {PlanDocument} document @param {Moment} moment */
function activeAt({ turns, turn_unit: unit, candidates }, moment) {
  if (moment.step >= moment.steps - turns.reserve) return turns.last
  return turnAt(turns, unit === IN_STEPS, moment) % candidates.length
}

/** How many turns are over. @param {Turns} turns @param {boolean} inSteps @param {Moment} moment */
function turnAt({ tau, order }, inSteps, { x, step, steps }) {
  const late = order === 'code' ? 1 : 0
  if (inSteps) return Math.floor(Math.max(0, step - late) / tau)
  return Math.max(0, Math.floor((x - late / steps) / tau + EVEN))
}

/** @param {PlanDocument} document */
function areTurns({ turns, turn_unit: unit, candidates }) {
  const whole = Number.isInteger(turns?.reserve) && turns.reserve >= 0 && ORDERS.includes(turns.order)
  return whole && turns.tau > 0 && UNITS.includes(unit) && turns.last in candidates
}

/** @param {PlanDocument} document */
function hasPresence({ slots, candidates }) {
  const labels = candidates.map(({ label }) => label)
  return slots.every(({ loras }) => Array.isArray(loras) && loras.every((lora) => labels.includes(lora)))
}
