// A map of what rows of LoRA Set say, worked out from their texts: of all LoRAs together, or of the one that is painted.

import { NOBODY, mean, number } from '../decision/decision.js'
import { strengthAt } from '../decision/when.js'
import { changes, strengthsOf } from './rows.js'

/**
 * @typedef {import('../decision/decision.js').Decision} Decision
 * @typedef {import('../decision/decision.js').Row} Row
 * @typedef {import('../decision/columns.js').Columns} Columns
 * @typedef {import('../decision/document.js').PlanDocument} PlanDocument
 */

/**
 * What is on together has a colour of its own; the deeper the stronger, each LoRA against its strongest, or against
 * `least` where that is more.
 * @param {PlanDocument} document @param {Row[]} rows @param {Columns} columns
 * @param {number[]} loras those that are shown @param {number} least @returns {Decision}
 */
export function painted(document, rows, columns, loras, least) {
  const { slots, method } = document
  const strengths = rows.map((row, lora) => strengthsOf(row, slots, lora))
  const levels = rows.map((row) => Array.from(columns.xs, (x) => strengthAt(row, x)))
  const most = rows.map((_, lora) => Math.max(least, largest(strengths[lora]) * largest(levels[lora])) || 1)
  const together = new Map(loras.map((lora, at) => [String(lora), at]))
  const choices = new Int8Array(slots.length * columns.count)
  const depths = new Float32Array(choices.length)
  let cell = 0
  for (let slot = 0; slot < slots.length; slot++) {
    for (let column = 0; column < columns.count; column++, cell++) {
      const on = loras.filter((lora) => strengths[lora][slot] * levels[lora][column] !== 0)
      const key = on.join(' ')
      if (on.length && !together.has(key)) together.set(key, together.size)
      choices[cell] = together.get(key) ?? NOBODY
      depths[cell] = mean(on.map((lora) => Math.abs(strengths[lora][slot] * levels[lora][column]) / most[lora]))
    }
  }
  return {
    columns, passes: 1, choices, depths, curve: null, headline: method.name, facts: [], supposed: false,
    document: { ...document, candidates: candidatesOf(document, [...together.keys()]) },
    about: (slot) => strengthsTold(document, strengths, slot)
  }
}

/**
 * The strengths in a slot that are not 1: `subject 0.5, style 0`.
 * @param {PlanDocument} document @param {number[][]} strengths @param {number} slot
 */
export function strengthsTold({ slots, page }, strengths, slot) {
  const own = strengths.map((of, lora) => ({ name: page.labels?.[lora], strength: of[slot], there: changes(slots[slot], lora) }))
  const told = own.filter(({ name, there, strength }) => name && there && strength !== 1)
  return told.map(({ name, strength }) => `${name} ${number(strength)}`).join(', ')
}

/**
 * A candidate for each LoRA and for what is on together, in the colours that the server gives them.
 * @param {PlanDocument} document @param {string[]} keys
 */
function candidatesOf({ page: { labels = [], colours = [] } }, keys) {
  const further = keys.filter((key) => key.includes(' '))
  return keys.map((key) => {
    const on = key.split(' ').map(Number)
    const place = on.length === 1 ? on[0] : labels.length + further.indexOf(key)
    const [dark, light] = colours[place % colours.length]
    return { label: on.map((lora) => labels[lora]).join(' + '), letter: '-', dark, light }
  })
}

/** @param {number[]} values */
const largest = (values) => Math.max(0, ...values.map(Math.abs))
