// Walking the map with the keyboard.

const PAGE = 10

/** @typedef {import('./telling.js').Cell} Cell */

/**
 * The cell that a key leads to from `cursor`, null for none; undefined where the key means no walking.
 * @param {string} key @param {Cell | null} cursor @param {number} slots @param {number} columns
 * @returns {Cell | null | undefined}
 */
export function walked(key, cursor, slots, columns) {
  const { slot, column } = cursor ?? { slot: -1, column: -1 }
  const within = (/** @type {number} */ at, /** @type {number} */ length) => Math.min(length - 1, Math.max(0, at))
  const to = (/** @type {number} */ s, /** @type {number} */ c) => ({ slot: within(s, slots), column: within(c, columns) })
  /** @type {Record<string, Cell | null>} */
  const cells = {
    ArrowDown: to(slot + 1, column),
    ArrowUp: to(slot - 1, column),
    ArrowRight: to(slot, column + 1),
    ArrowLeft: to(slot, column - 1),
    PageDown: to(slot + PAGE, column),
    PageUp: to(slot - PAGE, column),
    Home: to(slot, 0),
    End: to(slot, columns - 1),
    Escape: null
  }
  return cells[key]
}
