// The sheet of a round as the server sends it, whole or picture by picture, and where each picture stands. Pure.

import { keyOf } from './picks.js'

/**
 * `group` > 0: pictures of one group are of the same noise. `line` is what the text of picks has where it is picked.
 * @typedef {{ filename: string, subfolder: string, type: string }} File
 * @typedef {{
 *   place: number, round: number, rule: string, group: number, line: string, picked: boolean, image: File,
 *   width: number, height: number
 * }} Picture
 * A sheet, as far as it is there: `of` pictures are the whole, `coming` is the run that still makes them.
 * @typedef {{
 *   round: number, shown: string[], taken: string, of: number, part: number[], hint: string, pictures: Picture[],
 *   coming?: string | null
 * }} Sheet
 * @typedef {{ round: number, of: number, done: number, picture: Picture }} Arrival
 */

const isText = (/** @type {unknown} */ value) => typeof value === 'string'
const isCount = (/** @type {unknown} */ value) => Number.isInteger(value) && Number(value) >= 0

/** @param {any} value @returns {value is Picture} */
const isPicture = (value) =>
  [value?.place, value?.round, value?.group].every(isCount) && [value.rule, value.line].every(isText) &&
  keyOf(value.line) !== null && isText(value.image?.filename) && value.width > 0 && value.height > 0

/** What a run sent, or null where it is none. @param {any} value @returns {Sheet | null} */
export function readSheet(value) {
  const { round, shown = [], taken = '', of, part = [1, 1], hint = '', pictures } = value ?? {}
  const isRead = [round, of].every(isCount) && [taken, hint].every(isText) && [shown, part, pictures].every(Array.isArray)
  if (!isRead || !part.every(isCount) || !pictures.every(isPicture)) return null
  return { round, shown, taken, of, part, hint, pictures }
}

/** One picture of a run, or null. @param {any} value @returns {Arrival | null} */
export function readArrival(value) {
  const { round, of, done, picture } = value ?? {}
  return [round, of, done].every(isCount) && isPicture(picture) ? { round, of, done, picture } : null
}

/**
 * The sheet with one more picture of the run `prompt`. What was there before stays until its picture comes again.
 * @param {Sheet | null} sheet @param {Arrival} arrival @param {string} prompt @returns {Sheet}
 */
export function withArrival(sheet, { round, of, picture }, prompt) {
  const key = keyOf(picture.line)
  const isIn = sheet?.pictures.some(({ line }) => keyOf(line) === key) ?? false
  const goesOn = sheet && sheet.round === round && (sheet.coming === prompt || (isIn && sheet.pictures.length === of))
  const others = goesOn ? sheet.pictures.filter(({ line }) => keyOf(line) !== key) : []
  const pictures = [...others, picture].sort((a, b) => a.round - b.round || a.place - b.place)
  const empty = { shown: [], taken: '', part: [1, 1], hint: '' }
  return { ...empty, ...(goesOn ? sheet : {}), round, of, pictures, coming: prompt }
}

/**
 * What stands on the sheet, place by place: a picture, or null where it is still to come. Where each picture has a
 * place of its own on the whole sheet, that is where it stands.
 * @param {Sheet} sheet @returns {(Picture | null)[]}
 */
export function slotsOf({ pictures, of, part, coming }) {
  const count = coming || part[1] === 1 ? Math.max(of, pictures.length) : pictures.length
  const places = new Set(pictures.map(({ place }) => place))
  const own = places.size === pictures.length && !places.has(0) && Math.max(0, ...places) <= count
  const slots = Array(count).fill(null)
  pictures.forEach((picture, at) => (slots[own ? picture.place - 1 : at] = picture))
  return slots
}

/**
 * How many pictures of the same noise stand side by side: 1 where none do.
 * @param {(Picture | null)[]} slots
 */
export function sideBySide(slots) {
  const grouped = slots.flatMap((picture, at) => (picture?.group ? [{ group: picture.group, at }] : []))
  if (!grouped.length) return 1
  const fits = (/** @type {number} */ size) => grouped.every(({ group, at }) => Math.floor(at / size) === group - 1)
  return [2, 3, 4].find(fits) ?? 1
}
