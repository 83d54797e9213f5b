// What a person picked, as the text of one widget: a line each, in the order in which it was done. The server reads
// the same lines, and nothing is kept anywhere else. Pure.
//
//     1, sum 0.7, 12, 4      a picture: round, rule, noise seed, its place on the sheet
//     more                   learn from all picks so far, and show the next round
//     take                   the result is what was liked more; `take sum 0.7`: this rule
//
// A line less unpicks. `take` is the last line: what is done after it is done without it.

const MORE = 'more'
const TAKE = 'take'
const COMMENT = '#'
const PARTS = 3
// As Python's splitlines.
const ENDS = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/

/** @param {string} text */
const linesOf = (text) => text.split(ENDS).map((line) => line.trim()).filter(Boolean)

/** @param {string} line */
const isTake = (line) => line === TAKE || line.startsWith(`${TAKE} `)

/** What says which picture a line is of, or null where it is of none. @param {string} line */
export function keyOf(line) {
  const parts = line.split(',').map((part) => part.trim())
  return line.trim().startsWith(COMMENT) || parts.length < PARTS ? null : parts.slice(0, PARTS).join(', ')
}

/** The round that is shown. @param {string} text */
export const roundOf = (text) => 1 + linesOf(text).filter((line) => line === MORE).length

/** @param {string} text */
export const isTaken = (text) => linesOf(text).some(isTake)

/** The pictures that are picked, by their keys. @param {string} text */
export const pickedIn = (text) => new Set(linesOf(text).map(keyOf).filter((key) => key !== null))

/** How many pictures of rounds before `round` are picked. @param {string} text @param {number} round */
export const countBefore = (text, round) => [...pickedIn(text)].filter((key) => Number.parseInt(key) < round).length

/** Picks the picture of a line, or unpicks it. @param {string} text @param {string} line */
export function toggled(text, line) {
  const key = keyOf(line)
  const lines = withoutTake(text)
  const others = lines.filter((one) => keyOf(one) !== key)
  return joined(others.length < lines.length ? others : [...lines, line])
}

/** Asks for the next round. @param {string} text */
export const more = (text) => joined([...withoutTake(text), MORE])

/** Asks for the result. @param {string} text */
export const take = (text) => joined([...withoutTake(text), TAKE])

/**
 * What decides on the pictures of a round: all up to its beginning, or all there is where the result is taken. Two
 * texts of one such beginning show the same sheet.
 * @param {string} text @param {number} [round] the last one, if none is given @param {boolean} [taken]
 */
export function sheetOf(text, round = roundOf(text), taken = isTaken(text)) {
  const lines = linesOf(text).filter((line) => !line.startsWith(COMMENT))
  if (taken) return joined(lines)
  let left = round - 1
  // The order within a round, and the places, decide nothing.
  const until = lines.findIndex((line) => line === MORE && --left === 0)
  const known = round > 1 ? lines.slice(0, until + 1) : []
  return joined(known.map((line) => keyOf(line) ?? line).sort())
}

/** @param {string} text */
const withoutTake = (text) => linesOf(text).filter((line) => !isTake(line))

/** @param {string[]} lines */
const joined = (lines) => lines.join('\n')
