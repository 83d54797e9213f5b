// What is said of a sheet and of its pictures, and which buttons can be pressed. Pure.

import { countBefore, isTaken, keyOf, pickedIn, roundOf } from '../decision/picks.js'
import { slotsOf } from '../decision/sheet.js'

/**
 * `text` is what is picked; null where it comes by a wire and can't be read. `isOwn`: whether it can be written here.
 * `isNow`: whether the sheet is the one that `text` asks for. `own`: whether pictures of one's own count as picked.
 * @typedef {import('../decision/sheet.js').Sheet} Sheet
 * @typedef {import('../decision/sheet.js').Picture} Picture
 * @typedef {{
 *   sheet: Sheet | null, text: string | null, isOwn: boolean, isNow: boolean, own: boolean, running: boolean,
 *   changed: boolean
 * }} State
 * `can`: whether a click picks or unpicks it.
 * @typedef {{ picture: Picture | null, number: number, picked: boolean, can: boolean, rule: string, label: string }} Told
 * @typedef {import('./words.js').Words} Words
 */

/** The pictures in their places. @param {State} state @param {Words} words @returns {Told[]} */
export function picturesIn({ sheet, text, isOwn }, words) {
  if (!sheet) return []
  const picked = text === null ? null : pickedIn(text)
  const round = text === null ? 0 : roundOf(text)
  const places = new Set(sheet.pictures.map(({ place }) => place))
  const byPlace = places.size === sheet.pictures.length && !places.has(0)
  return slotsOf(sheet).map((picture, at) => {
    const number = byPlace ? (picture?.place ?? at + 1) : at + 1
    const none = { picked: false, can: false, rule: '', label: `${words.picture(number)}, ${words.waits}` }
    if (!picture) return { picture, number, ...none }
    const isPicked = picked ? picked.has(keyOf(picture.line) ?? '') : picture.picked
    const rule = isPicked || sheet.taken ? picture.rule : ''
    const label = [words.picture(number), isPicked && words.isPicked, rule && words.by(rule)].filter(Boolean).join(', ')
    // What was picked in earlier rounds is learned from: undo brings those rounds back.
    return { picture, number, picked: isPicked, can: isOwn && picture.round === round, rule, label }
  })
}

/** The two texts above the pictures. @param {State} state @param {Words} words */
export function heading({ sheet, text, isNow, own, running, changed }, words) {
  if (!sheet) return { title: words.sheet, status: running ? words.learning(0) : text && !isNow ? words.notYet : '' }
  const { round, taken, coming, pictures, of, part, shown } = sheet
  const count = text === null ? 0 : countBefore(text, round)
  const about = shown.length && (count || own) ? words.learned(count, own) : round === 1 ? words.pick : ''
  const title = taken ? words.taken(taken) : [words.round(round), about].filter(Boolean).join(': ')
  const parts = part[1] > 1 ? [words.part(part[0], part[1])] : []
  const picks = text === null ? pictures.filter(({ picked }) => picked).length : pickedIn(text).size
  if (coming) parts.push((running ? words.coming : words.stopped)(pictures.length, of))
  else if (!isNow) parts.push(running ? words.learning(picks) : words.notYet)
  else if (changed) parts.push(words.changed)
  if (picks) parts.push(words.picked(picks))
  return { title, status: parts.join(' · ') }
}

/**
 * What the buttons say and whether they can be pressed. The first shows the round that the picks ask for where it is
 * not there; only then it asks for one more.
 * @param {State} state @param {Words} words
 */
export function buttonsIn({ sheet, text, isOwn, isNow, own, running }, words) {
  const known = text ?? ''
  const taken = isTaken(known)
  const shows = isOwn && !isNow && !taken && (sheet !== null || known !== '')
  const any = own || pickedIn(known).size > 0
  return {
    shows,
    more: shows ? words.show(roundOf(known)) : words.more,
    canMore: isOwn && (shows ? !running : sheet !== null),
    canTake: isOwn && any && !(taken && (isNow || running)),
    canStartOver: isOwn && known.trim() !== ''
  }
}
