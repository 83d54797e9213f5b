// As scheduled: each LoRA when, where and as strongly as its row of LoRA Set says, several at once. The document has
// what all of them are piece by piece of the run, so the page can say it of a run of any number of steps, as the Python
// side does. Where a row says something else by now, or one LoRA is painted, it is worked out from the rows' texts.

import { NOBODY, mean } from '../decision/decision.js'
import { painted, strengthsTold } from './painted.js'
import { isReadable, rowsThatRan, sameRow, strengthsOf } from './rows.js'

/**
 * `pieces[k]` are the LoRAs' strengths from `borders[k]` on, `sums` the candidates' strengths.
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../decision/decision.js').Decision} Decision
 * @typedef {import('../decision/columns.js').Columns} Columns
 * @typedef {{ borders: number[], pieces: number[][], sums: number[][] }} Pieces
 */

/** @type {import('../decision/decision.js').Decider} */
export const byHand = {
  fixed: ['method'],
  byRows: true,
  settings(_, document, hand) {
    const before = rowsThatRan(document)
    const now = before.map((row, i) => hand?.rows[i] ?? row)
    const readable = now.map((row, i) => sameRow(row, before[i]) || (canPaint(document) && isReadable(row, before[i])))
    const rows = now.map((row, i) => (readable[i] ? row : before[i]))
    return { rows, painting: hand?.painting ?? null, beyond: readable.includes(false) }
  },
  settingsOf: (document) => ({ rows: rowsThatRan(document), painting: null, beyond: false }),
  same: (one, other) => one.rows.every((/** @type {any} */ row, /** @type {number} */ i) => sameRow(row, other.rows[i])),
  accepts,
  decide(document, settings, columns) {
    const { rows, painting } = settings
    if (painting !== null) return painted(document, rows, columns, [painting], 1)
    const asRan = byHand.same(settings, byHand.settingsOf(document))
    return asRan ? ran(document, columns) : painted(document, rows, columns, [...rows.keys()], 0)
  }
}

/** Whether the document has what a map of single LoRAs takes: those of older servers lack it. @param {PlanDocument} document */
export const canPaint = ({ page: { labels, colours } }) => Array.isArray(labels) && Array.isArray(colours) && colours.length > 0

/** @param {PlanDocument} whole @param {Columns} columns @returns {Decision} */
function ran(whole, columns) {
  const { by_hand: plan, method, facts } = whole
  const document = { ...whole, slots: whole.slots.filter(({ there, silent }) => there.length || !silent?.length) }
  const { slots } = document
  const found = new Map(plan.sums.map((/** @type {number[]} */ sum, /** @type {number} */ at) => [keyOf(sum), at]))
  const pieces = [...columns.xs].map((x) => plan.pieces[pieceAt(plan, x)])
  const choices = new Int8Array(slots.length * columns.count)
  let at = 0
  for (const { there } of slots) {
    for (const piece of pieces) choices[at++] = found.get(keyOf(of(piece, there))) ?? NOBODY
  }
  const strengths = rowsThatRan(document).map((/** @type {any} */ row, /** @type {number} */ lora) => strengthsOf(row, slots, lora))
  return {
    columns, passes: 1, choices, curve: null, headline: method.name, facts, supposed: false, document,
    depths: depthsOf(choices, columns.count, plan.sums, strengths),
    about: (slot) => strengthsTold(document, strengths, slot)
  }
}

/**
 * How much of what is strongest each cell has of the LoRAs that are on there, by their blocks alone; nothing where
 * all blocks are alike.
 * @param {Int8Array} choices @param {number} count @param {number[][]} sums @param {number[][]} strengths
 */
function depthsOf(choices, count, sums, strengths) {
  if (strengths.flat().every((strength) => strength === 1 || strength === 0)) return undefined
  const most = strengths.map((own) => Math.max(...own.map(Math.abs)) || 1)
  return Float32Array.from(choices, (winner, cell) => {
    const on = (sums[winner] ?? []).flatMap((level, lora) => (level ? [lora] : []))
    const parts = on.map((lora) => Math.abs(strengths[lora][Math.floor(cell / count)]) / most[lora])
    return mean(parts)
  })
}

/** @param {number[]} levels */
const keyOf = (levels) => levels.join(' ')

/** What a slot has of a piece, where only the LoRAs `there` change it. @param {number[]} piece @param {number[]} there */
const of = (piece, there) => piece.map((level, lora) => (there.includes(lora) ? level : 0))

/** The piece that x is in. @param {Pieces} plan @param {number} x */
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
