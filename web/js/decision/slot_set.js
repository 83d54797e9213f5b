// The two parts of a document as the server sends it, put together: what a run was set to, and the set that it
// names, which holds the slots and what else belongs to the LoRAs on their model. Pure.

const SCHEMA = 'klora-slots/1'

/**
 * A set with its slots one by one.
 * @typedef {{ slots: Record<string, any>[] } & Record<string, any>} SlotSet
 */

/** `value` as a set, or null where it is none. @param {any} value @returns {SlotSet | null} */
export function readSet(value) {
  if (value?.schema !== SCHEMA || typeof value.columns !== 'object' || value.columns === null) return null
  const { schema, columns, ...rest } = value
  const names = Object.keys(columns)
  const read = names.map((name) => valuesOf(columns[name]))
  const count = read[0]?.length ?? 0
  if (!read.every((values) => values?.length === count)) return null
  const slot = (/** @type {number} */ i) => Object.fromEntries(names.map((name, at) => [name, read[at]?.[i]]))
  return { ...rest, slots: Array.from({ length: count }, (_, i) => slot(i)) }
}

/**
 * A value for each slot: as they stand, or which of a few comes how often in a row.
 * @param {any} column @returns {any[] | null}
 */
function valuesOf(column) {
  if (Array.isArray(column)) return column
  const { values, runs } = column ?? {}
  if (!Array.isArray(values) || !Array.isArray(runs)) return null
  const whole = runs.every((run) => run?.[0] in values && Number.isInteger(run[1]) && run[1] > 0)
  return whole ? runs.flatMap(([at, count]) => Array(count).fill(values[at])) : null
}
