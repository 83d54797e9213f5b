// What was decided: which candidate each slot uses in each column and pass, and what decides it. Pure, and the
// same for every method: a method's own room, or the document itself, fills it in.

/** Where a pass uses no candidate. */
export const NOBODY = -1

/**
 * `choices` is [slots, columns, passes]: the candidate, or NOBODY. `curve` is the scale that decides, over x,
 * or null. `headline` and `facts` are lines to read, `course(locale)` what happens over the run; `about(slot, locale)`
 * says more of one slot, or ''. `supposed`: the columns are steps of a run that is only supposed, since the method
 * counts each run's own. `mixed` is [slots, columns, candidates], how much of each a cell has, where candidates work
 * together there; `depths`, like `choices`, how strong what works there is, 1 for the strongest. `document` is what is
 * drawn, where that is another than the one that was decided of.
 * @typedef {import('./columns.js').Columns} Columns
 * @typedef {import('./document.js').PlanDocument} PlanDocument
 * @typedef {{
 *   columns: Columns,
 *   passes: number,
 *   choices: Int8Array,
 *   mixed?: Float32Array,
 *   depths?: Float32Array,
 *   document?: PlanDocument,
 *   curve: { name: string, at: (x: number) => number } | null,
 *   headline: string,
 *   facts: string[],
 *   supposed: boolean,
 *   course?: (locale: string) => string,
 *   about: (slot: number, locale: string) => string
 * }} Decision
 * @typedef {{ winners: number[], first: number, last: number }} Stretch
 * How decisions come from a document. `settings(read, document)` are those on the node that they follow,
 * `settingsOf(document)` the ones the document was made with, `same` whether two decide alike. `fixed` names
 * the widgets that decide too and can't be followed; without it no widget can. `even` is the value of the
 * widget `dial` that gives the second candidate a share of the layers.
 * `mends` says for a candidate of too little what gives it more: its share of the layers, and a dial's value.
 * `byRows`: it follows the rows of LoRA Set, those of the LoRAs that take part, null where one can't be told; of one
 * that is `painting` it shows that alone.
 * @typedef {import('./when.js').When & { blocks: string }} Row
 * @typedef {{ rows: (Row | null)[], painting: number | null }} ByHand
 * What a hand does to a LoRA: all slots from one to another get a strength or that much more; the columns from one to
 * another are those in which it works; all is as at the beginning.
 * @typedef {{ slots: [number, number], strength?: number, by?: number }} OnSlots
 * @typedef {{ columns: [number | null, number | null] }} OnColumns
 * @typedef {OnSlots | OnColumns | { anew: true }} Stroke
 * @typedef {(name: string, otherwise: any) => any} Read
 * @typedef {{ candidate: number, share: number, dial: string, value: number | string }} Mend
 * @typedef {{
 *   fixed?: string[],
 *   accepts: (document: PlanDocument) => boolean,
 *   byRows?: boolean,
 *   settings: (read: Read, document: PlanDocument, hand?: ByHand) => any,
 *   settingsOf: (document: PlanDocument) => any,
 *   same: (one: any, other: any) => boolean,
 *   decide: (document: PlanDocument, settings: any, columns: Columns) => Decision,
 *   dial?: string,
 *   even?: (document: PlanDocument, settings: any, columns: Columns, share: number) => number | null,
 *   mends?: (document: PlanDocument, settings: any, columns: Columns) => Mend[]
 * }} Decider
 */

/** Four digits for people, or the sign for what is no finite number. @param {number} value */
export const number = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '∞')

/**
 * The candidates that a slot's passes use in a column.
 * @param {Decision} decision @param {number} slot @param {number} column
 */
export function winnersAt({ choices, columns, passes }, slot, column) {
  const at = (slot * columns.count + column) * passes
  return [...choices.subarray(at, at + passes)]
}

/**
 * One slot's choices as stretches of columns with the same winners, columns from 0, both ends included.
 * @param {Decision} decision @param {number} slot
 * @returns {Stretch[]}
 */
export function stretchesOf(decision, slot) {
  /** @type {Stretch[]} */
  const found = []
  for (let column = 0; column < decision.columns.count; column++) {
    const winners = winnersAt(decision, slot, column)
    const current = found[found.length - 1]
    if (current && winners.every((winner, pass) => winner === current.winners[pass])) current.last = column
    else found.push({ winners, first: column, last: column })
  }
  return found
}

/**
 * Each candidate's share of slots and passes in each column, one Float64Array a candidate; 0 without slots.
 * What they lack to 1 is nobody's.
 * @param {Decision} decision @param {number} candidates
 */
export function sharesOf({ choices, columns, passes, mixed }, candidates) {
  const shares = Array.from({ length: candidates }, () => new Float64Array(columns.count))
  const rows = choices.length / columns.count
  if (!rows) return shares
  mixed?.forEach((share, at) => {
    shares[at % candidates][Math.floor(at / candidates) % columns.count] += share
  })
  if (!mixed) choices.forEach((winner, at) => {
    if (winner !== NOBODY) shares[winner][Math.floor(at / passes) % columns.count] += 1
  })
  return shares.map((counts) => counts.map((count) => count / rows))
}

/** The mean of numbers, 0 of none. @param {ArrayLike<number>} values */
export function mean(values) {
  const sum = Array.from(values).reduce((total, one) => total + one, 0)
  return values.length ? sum / values.length : 0
}

/**
 * Runs of neighbours with equal keys, both ends included.
 * @param {string[]} keys
 */
export function runsOf(keys) {
  /** @type {{ key: string, first: number, last: number }[]} */
  const found = []
  keys.forEach((key, index) => {
    const current = found[found.length - 1]
    if (current?.key === key) current.last = index
    else found.push({ key, first: index, last: index })
  })
  return found
}
