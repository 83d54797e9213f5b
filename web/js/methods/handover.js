// When the style takes over: a slot counts from the column on from which it is the style's to the end. As the
// report says it (klora_core/methods/klora/handover.py).

import { wordsFor } from './words.js'

const PARTS = [0.05, 0.5, 0.95]

/**
 * The columns, from 1, by which 5, 50 and 95 % of the slots are the style's to the end, null where so many never
 * are; and the share of them that are in the last column.
 * @typedef {{ first: number | null, half: number | null, last: number | null, atEnd: number }} Handover
 * @param {Int8Array} choices [slots, columns] @param {number} columns @param {number} style
 * @returns {Handover}
 */
export function handover(choices, columns, style) {
  const slots = choices.length / columns
  const counts = new Array(columns).fill(0)
  for (let slot = 0; slot < slots; slot++) {
    for (let column = columns - 1; column >= 0 && choices[slot * columns + column] === style; column--) counts[column]++
  }
  const [first, half, last] = PARTS.map((part) => {
    const least = Math.max(1, Math.ceil(part * slots - 1e-9))
    const at = counts.findIndex((count) => count >= least)
    return at < 0 ? null : at + 1
  })
  return { first, half, last, atEnd: counts[columns - 1] / slots }
}

/**
 * The same as a sentence: `The style takes over between steps 4 and 20, half of the layers by step 11`.
 * @param {Handover} found @param {import('../decision/columns.js').Columns} columns @param {string} locale
 */
export function courseOf({ first, half, last, atEnd }, { kind, count }, locale) {
  const words = wordsFor(locale)
  const at = (/** @type {number} */ column) => (kind === 'steps' ? String(column) : percent(column / count))
  const when = kind === 'steps' ? words.steps : words.way
  const all = atEnd === 1 ? words.all : words.nearlyAll
  const end = percent(atEnd)
  if (first === null) return words.nowhere(atEnd ? words.butFor(end) : '')
  if (last === 1) return words.beginning(all)
  if (last === first) return words.atOnce(when.one(at(last)), all)
  if (half === null) return words.fromOn(when.one(at(first)), words.byTheEnd(end, true))
  const by = words.half(when.one(at(half)))
  if (last === null) return words.fromOn(when.one(at(first)), by + words.byTheEnd(end, false))
  return words.between(when.two(at(first), at(last)), by)
}

/** Half to even, as Python rounds. @param {number} share */
function percent(share) {
  const value = share * 100
  return `${value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value)}%`
}
