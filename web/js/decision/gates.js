// What the gates of a run were: how much of each candidate each slot took in each step, as the server tells it when
// the run is over. Before that the picture has decided nothing. Pure.

import { stepColumns } from './columns.js'

const WHOLE = 255

/**
 * `gates` is [slots, steps, candidates] in 255ths.
 * @typedef {{ steps: number, gates: Uint8Array }} Gates
 * @typedef {import('./decision.js').Decision} Decision
 * @typedef {import('./document.js').PlanDocument} PlanDocument
 */

/** `value` as a run's gates, or null. @param {any} value @returns {Gates | null} */
export function readGates(value) {
  const { steps, gates } = value ?? {}
  if (!Number.isInteger(steps) || steps < 1 || typeof gates !== 'string') return null
  try {
    return { steps, gates: Uint8Array.from(atob(gates), (letter) => letter.charCodeAt(0)) }
  } catch {
    return null
  }
}

/**
 * Whether the gates are those of a document's slots and candidates.
 * @param {Gates} gates @param {PlanDocument} document
 */
export const areOf = ({ steps, gates }, { slots, candidates }) =>
  gates.length === slots.length * steps * candidates.length

/** What tells decisions of one document from another's. @param {PlanDocument} document */
export const decidedBy = ({ set, slots, loras, gate }) => JSON.stringify([set ?? slots.length, loras, gate])

/**
 * A decision with what the gates of its run were: whoever has most leads a cell, and `mixed` says how much each has.
 * @param {Decision} decision @param {Gates} gates @param {PlanDocument} document
 * @param {import('./columns.js').Columns} asked
 * @returns {Decision}
 */
export function withGates(decision, { steps, gates }, { slots, candidates }, asked) {
  const count = candidates.length
  const mixed = Float32Array.from(gates, (gate) => gate / WHOLE)
  const choices = new Int8Array(slots.length * steps)
  for (let cell = 0; cell < choices.length; cell++) {
    const shares = mixed.subarray(cell * count, (cell + 1) * count)
    choices[cell] = shares.indexOf(Math.max(...shares))
  }
  const about = (/** @type {number} */ slot) =>
    candidates
      .map(({ label }, i) => ({ label, share: meanOf(mixed, slot, steps, count, i) }))
      .filter(({ share }) => share > 0)
      .map(({ label, share }) => `${label} ${Math.round(100 * share)} %`)
      .join(', ')
  const columns = asked.kind === 'steps' && asked.count === steps ? asked : stepColumns(steps)
  return { ...decision, columns, passes: 1, choices, mixed, supposed: false, about }
}

/**
 * The mean over the steps of what a candidate has in a slot.
 * @param {Float32Array} mixed @param {number} slot @param {number} steps @param {number} count @param {number} i
 */
function meanOf(mixed, slot, steps, count, i) {
  let sum = 0
  for (let step = 0; step < steps; step++) sum += mixed[(slot * steps + step) * count + i]
  return sum / steps
}
