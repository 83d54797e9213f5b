// Picking with the keyboard. Pure.

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const KEYS = `1234567890${LETTERS}`

/** The key of the picture with a number: 1 to 9, 0, then letters; '' where there is none. @param {number} number */
export const keyFor = (number) => KEYS[number - 1] ?? ''

/** The number of a picture that a key stands for, 0 for none. @param {string} key */
export const numberOf = (key) => (key.length === 1 ? KEYS.indexOf(key.toLowerCase()) + 1 : 0)

/**
 * Where a key leads to from picture `at` of `count`; undefined where it means no walking.
 * @param {string} key @param {number} at @param {number} count @param {number} columns @returns {number | undefined}
 */
export function walked(key, at, count, columns) {
  const within = (/** @type {number} */ to) => (to >= 0 && to < count ? to : at)
  /** @type {Record<string, number>} */
  const ways = {
    ArrowRight: within(at + 1),
    ArrowLeft: within(at - 1),
    ArrowDown: within(at + columns),
    ArrowUp: within(at - columns),
    Home: 0,
    End: count - 1
  }
  return ways[key]
}
