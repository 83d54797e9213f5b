// When a LoRA works, and how strongly at each moment: a start, an end and a curve, read as klora_core/methods/hand
// reads them. Pure.

/** The most that a strength is, of a curve and of blocks. */
export const MOST = 10
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/**
 * As LoRA Set has it. @typedef {{ start: number, end: number, curve: string }} When
 * @typedef {[number, number]} Point progress and strength
 */

// All but those between two digits: a comma that was forgotten makes no other number.
const BLANKS = /(?<!\d)\s+|\s+(?![\s\d.])/g

/** The points of a curve's text. @param {string} text */
export const pointsIn = (text) => text.split(/[,;\n]/).map((part) => part.replace(BLANKS, '')).filter(Boolean)

/** A curve's points, none for a curve of 1, or null where the text is none. @param {string} text @returns {Point[] | null} */
export function readCurve(text) {
  const points = pointsIn(text).map((part) => /** @type {Point} */ (part.split(/:(.*)/s).slice(0, 2).map(numberOf)))
  const sound = points.every(([x, strength], i) => x >= (points[i - 1]?.[0] ?? 0) && x <= 1 && Math.abs(strength) <= MOST)
  return sound ? points : null
}

/** The strength at progress x; 0 before the start and from the end on. @param {When} when @param {number} x */
export function strengthAt({ start, end, curve }, x) {
  if (x < start || !(x < end || (end === 1 && start < 1))) return 0
  const points = readCurve(curve) ?? []
  if (!points.length) return 1
  const next = points.findIndex(([at]) => at > x)
  if (next === 0) return points[0][1]
  const [x1, b] = points[next < 0 ? points.length - 1 : next]
  const [x0, a] = points[next < 0 ? points.length - 1 : next - 1]
  return x1 === x0 ? b : a + ((b - a) * (x - x0)) / (x1 - x0)
}

/**
 * The start and end that hold the columns from `first` to `last`, in as few digits as tell them from their neighbours.
 * @param {Float64Array} xs @param {number} first @param {number} last
 */
export const windowOf = (xs, first, last) => ({
  start: first === 0 ? 0 : between(xs[first - 1], xs[first]),
  end: last === xs.length - 1 ? 1 : between(xs[last], xs[last + 1])
})

/** @param {number} before @param {number} x */
function between(before, x) {
  const middle = (before + x) / 2
  for (let digits = 2; digits < 7; digits++) {
    const found = Number(middle.toFixed(digits))
    if (before < found && found <= x) return found
  }
  return middle
}

/** A number as the server takes one too, else NaN. @param {string} [text] */
export const numberOf = (text = '') => (NUMBER.test(text) ? Number(text) : NaN)
