// Decisions as the document records them, column by column: for every method that the page has no maths for.
// They follow no widget; a new run brings new ones.

import { isEven, progressColumns, stepColumns } from './columns.js'
import { NOBODY } from './decision.js'

const NO_ONE = '-'
const BETWEEN_PASSES = '/'

/**
 * @typedef {import('./columns.js').Columns} Columns
 * @typedef {import('./decision.js').Decision} Decision
 * @typedef {import('./document.js').PlanDocument} PlanDocument
 */

/** @type {import('./decision.js').Decider} */
export const recorded = {
  accepts: (document) => document.slots.every((slot) => lettersOf(slot.choice, document) !== null),
  settings: () => ({}),
  settingsOf: () => ({}),
  same: () => true,
  decide: (document, _, asked) => ({
    columns: columnsOf(document, asked),
    passes: document.passes,
    choices: choicesOf(document),
    curve: null,
    headline: document.method.name,
    facts: document.facts,
    supposed: supposed(document, asked),
    about: () => ''
  })
}

/**
 * The document's columns are those of `steps` steps. They are called steps where the run that is asked for has
 * as many, evenly counted, or where the method counts steps itself; else they stand for the parts of x.
 * @param {PlanDocument} document @param {Columns} asked
 */
function columnsOf(document, asked) {
  if (isAsRecorded(document, asked)) return asked
  return supposed(document, asked) ? stepColumns(document.steps) : progressColumns(document.steps)
}

/**
 * Whether the columns are steps of a run that is only supposed.
 * @param {PlanDocument} document @param {Columns} asked
 */
const supposed = (document, asked) => document.method.counts_steps === true && !isAsRecorded(document, asked)

/** @param {PlanDocument} document @param {Columns} asked */
const isAsRecorded = ({ steps }, { kind, count, xs }) => kind === 'steps' && count === steps && isEven({ xs })

/** @param {PlanDocument} document */
function choicesOf(document) {
  const { slots, steps, passes, candidates } = document
  const index = new Map(candidates.map(({ letter }, i) => [letter, i]))
  const choices = new Int8Array(slots.length * steps * passes)
  slots.forEach((slot, row) => {
    lettersOf(slot.choice, document)?.forEach((letters, pass) => {
      for (let column = 0; column < steps; column++) {
        choices[(row * steps + column) * passes + pass] = index.get(letters[column]) ?? NOBODY
      }
    })
  })
  return choices
}

/**
 * One string of `steps` letters a pass, or null where `choice` is anything else.
 * @param {string | undefined} choice @param {PlanDocument} document
 */
function lettersOf(choice, { steps, passes, candidates }) {
  const known = new Set([NO_ONE, ...candidates.map(({ letter }) => letter)])
  const parts = typeof choice === 'string' ? choice.split(BETWEEN_PASSES) : []
  const isWhole = (/** @type {string} */ part) => part.length === steps && [...part].every((one) => known.has(one))
  return parts.length === passes && parts.every(isWhole) ? parts : null
}
