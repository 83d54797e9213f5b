// As scheduled: each LoRA when and as strongly as its row says, several at once. The document has what all of them
// are piece by piece of the run, so the page can say it of a run of any number of steps, as the Python side does.

import { NOBODY } from '../decision/decision.js'

/**
 * `pieces[k]` are the LoRAs' strengths from `borders[k]` on, `sums` the candidates' strengths.
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {{ borders: number[], pieces: number[][], sums: number[][] }} ByHand
 */

/** @type {import('../decision/decision.js').Decider} */
export const byHand = {
  settings: () => ({}),
  settingsOf: () => ({}),
  same: () => true,
  accepts,
  decide(document, _, columns) {
    const { slots, by_hand: plan, method, facts } = document
    const found = new Map(plan.sums.map((/** @type {number[]} */ sum, /** @type {number} */ at) => [keyOf(sum), at]))
    const pieces = [...columns.xs].map((x) => plan.pieces[pieceAt(plan, x)])
    const choices = new Int8Array(slots.length * columns.count)
    let at = 0
    for (const { there } of slots) {
      for (const piece of pieces) choices[at++] = found.get(keyOf(of(piece, there))) ?? NOBODY
    }
    return {
      columns, passes: 1, choices, curve: null, headline: method.name, facts, supposed: false, about: () => ''
    }
  }
}

/** @param {number[]} levels */
const keyOf = (levels) => levels.join(' ')

/** What a slot has of a piece, where only the LoRAs `there` change it. @param {number[]} piece @param {number[]} there */
const of = (piece, there) => piece.map((level, lora) => (there.includes(lora) ? level : 0))

/** The piece that x is in. @param {ByHand} plan @param {number} x */
function pieceAt({ borders }, x) {
  let at = 0
  while (at + 1 < borders.length && borders[at + 1] <= x) at++
  return at
}

/** @param {PlanDocument} document */
function accepts({ by_hand: plan, passes, candidates, slots }) {
  const isSum = (/** @type {any} */ one) => Array.isArray(one) && one.every(Number.isFinite)
  return (
    passes === 1 && Array.isArray(plan?.borders) && plan.borders[0] === 0 && plan.borders.every(Number.isFinite) &&
    Array.isArray(plan.pieces) && plan.pieces.length === plan.borders.length && plan.pieces.every(isSum) &&
    Array.isArray(plan.sums) && plan.sums.length === candidates.length && plan.sums.every(isSum) &&
    slots.every(({ there }) => Array.isArray(there) && there.every(Number.isInteger))
  )
}
