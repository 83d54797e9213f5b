// Where everything in the live map lies. All numbers are device pixels of the backing bitmap, so that
// cells and gaps fall on whole pixels; `k` is device pixels per CSS pixel.

import { runsOf } from '../../decision/decision.js'

const PAD = 8
const BAND = 14
const TICK = 5
const LEGEND = 18
const AXIS = 15
const PANEL_SHARE = 0.2
const PANEL_LEAST = 38
const PANEL_MOST = 90
const RIGHT = 34
export const LABEL = 9.5

/**
 * @typedef {{ left: number, top: number, right: number, bottom: number }} Box right and bottom exclusive
 * @typedef {ReturnType<typeof layout>} Place
 * @typedef {ReturnType<typeof runsOf>} Runs
 * @typedef {{ name: string, top: number, bottom: number, shown: boolean }} Band
 * @typedef {{ slot: number, column: number }} Cell
 */

/**
 * The layout of a map of `slots` by `columns` in a bitmap of `width` x `height`. `measure(text)` is the
 * width of a label.
 * @param {{
 *   slots: import('../../decision/document.js').Slot[], count: number, width: number, height: number, k: number,
 *   measure: (text: string) => number
 * }} asked
 */
export function layout({ slots, count, width, height, k, measure }) {
  const px = (/** @type {number} */ css) => Math.round(css * k)
  const groupRuns = runsOf(slots.map((slot) => slot.group))
  const blockRuns = runsOf(slots.map((slot) => `${slot.group}/${slot.block}`))

  const panelHeight = px(Math.min(PANEL_MOST, Math.max(PANEL_LEAST, (height / k) * PANEL_SHARE)))
  const map = { left: 0, right: 0, top: px(LEGEND + PAD / 2), bottom: height - px(AXIS) - panelHeight - px(AXIS) }
  const rows = rowLines({ count: slots.length, groupRuns, blockRuns, height: map.bottom - map.top, k })

  const bands = groupRuns.map(({ key, first, last }) => {
    const top = map.top + rows.tops[first]
    const bottom = map.top + rows.bottoms[last]
    return { name: key, top, bottom, shown: measure(key) + px(6) <= bottom - top }
  })
  const marks = blockMarks({ blockRuns, bands, groupRuns, map, rows, pitch: px(11) })
  const widest = Math.max(measure('100%'), ...marks.map((mark) => measure(mark.text)))

  map.left = px(PAD + BAND + 3) + Math.ceil(Math.min(widest, px(64))) + px(TICK)
  map.right = Math.max(map.left + 1, width - px(RIGHT))
  const columns = Array.from({ length: count + 1 }, (_, i) =>
    map.left + Math.round((i * (map.right - map.left)) / count))
  // Gaps between columns alone would read as stripes.
  const roomy = rows.cellGap > 0 && (map.right - map.left) / count >= px(9)
  const panel = { left: map.left, right: map.right, top: map.bottom + px(AXIS), bottom: height - px(AXIS) }
  return {
    k, px, width, height, map, panel, rows, columns, bands, marks,
    columnGap: roomy ? Math.max(1, Math.round(k / 2)) : 0,
    band: { left: px(PAD), right: px(PAD + BAND) }
  }
}

/**
 * Row lines of the map. `owner[y]` is [first, last] slot of pixel row y, or null in a gap: one slot may
 * own many rows, and where there are more slots than rows, one row many slots.
 * @param {{ count: number, groupRuns: Runs, blockRuns: Runs, height: number, k: number }} asked
 */
function rowLines({ count, groupRuns, blockRuns, height, k }) {
  const groupGap = height / groupRuns.length >= 16 * k ? Math.round(3 * k) : 0
  const blockGap = height / blockRuns.length >= 6 * k ? Math.max(1, Math.round(k)) : 0
  const groupStarts = new Set(groupRuns.slice(1).map((run) => run.first))
  const blockStarts = new Set(blockRuns.slice(1).map((run) => run.first))
  const gapBefore = (/** @type {number} */ slot) => {
    if (groupStarts.has(slot)) return groupGap || blockGap
    return blockStarts.has(slot) ? blockGap : 0
  }

  let gaps = 0
  for (let slot = 0; slot < count; slot++) gaps += gapBefore(slot)
  const pitch = (height - gaps) / Math.max(1, count)
  const tops = new Int32Array(count)
  const bottoms = new Int32Array(count)
  /** @type {([number, number] | null)[]} */
  const owner = Array.from({ length: height }, () => null)
  const cellGap = pitch >= 7 * k ? Math.max(1, Math.round(k / 2)) : 0
  for (let slot = 0, y = 0; slot < count; slot++) {
    y += gapBefore(slot)
    tops[slot] = Math.round(y)
    y += pitch
    bottoms[slot] = Math.min(height, Math.max(tops[slot] + 1, Math.round(y)))
    if (tops[slot] >= height) tops[slot] = height - 1
    for (let row = tops[slot]; row < bottoms[slot] - cellGap; row++) {
      const held = owner[row]
      if (held) held[1] = slot
      else owner[row] = [slot, slot]
    }
  }
  return { tops, bottoms, owner, cellGap }
}

/**
 * Labels of blocks; only the number where the band beside says the group. Thinned where they would touch.
 * @param {{
 *   blockRuns: Runs, groupRuns: Runs, bands: Band[], map: Box, rows: ReturnType<typeof rowLines>, pitch: number
 * }} asked
 */
function blockMarks({ blockRuns, groupRuns, bands, map, rows, pitch }) {
  /** @type {{ at: number, text: string }[]} */
  const marks = []
  bands.forEach((band, index) => {
    const { first, last } = groupRuns[index]
    const inside = blockRuns.filter((run) => run.first >= first && run.last <= last)
    const stride = strideOf((pitch * inside.length) / Math.max(1, band.bottom - band.top))
    for (let i = 0; i < inside.length; i += stride) {
      const run = inside[i]
      const [group, block] = run.key.split('/')
      const text = band.shown && block.startsWith(group) ? block.slice(group.length).trim() : block
      const at = map.top + (rows.tops[run.first] + rows.bottoms[run.last]) / 2
      const previous = marks[marks.length - 1]
      if (text && (!previous || at - previous.at >= pitch)) marks.push({ at, text })
    }
  })
  return marks
}

/**
 * Numbers of the steps (from 1) that get a label: the first, round ones, the last. `room` is what a label takes,
 * in steps.
 * @param {number} steps @param {number} room
 */
export function stepNumbers(steps, room) {
  const stride = Math.max(1, strideOf(room))
  const wide = stride > 1 ? (stride < 5 ? 5 : stride) : 1
  const numbers = [1]
  for (let n = wide; n < steps; n += wide) if (n - 1 >= room && steps - n >= room) numbers.push(n)
  if (steps > 1) numbers.push(steps)
  return numbers
}

/** The cell under a point of the bitmap, or null. @param {Place} place @param {number} x @param {number} y */
export function cellAt(place, x, y) {
  const { map, rows } = place
  if (x < map.left || x >= map.right || y < map.top || y >= map.bottom) return null
  if (rows.owner.every((held) => held === null)) return null
  // Several slots may share the row: the one in its middle speaks for them.
  return { slot: slotUnder(place, y), column: columnUnder(place, x) }
}

/** The slot at a height of the bitmap, the first or last beyond the map. @param {Place} place @param {number} y */
export function slotUnder({ map, rows }, y) {
  let row = Math.max(0, Math.min(rows.owner.length - 1, Math.floor(y) - map.top))
  while (row > 0 && rows.owner[row] === null) row--
  const [first, last] = rows.owner[row] ?? [0, 0]
  return (first + last) >> 1
}

/** The column at a place of the bitmap's width, the first or last beyond the map. @param {Place} place @param {number} x */
export function columnUnder({ columns }, x) {
  const next = columns.findIndex((edge) => edge > x)
  return next < 0 ? columns.length - 2 : Math.max(0, next - 1)
}

/** @param {number} least */
function strideOf(least) {
  for (let unit = 1; ; unit *= 10) {
    for (const factor of [1, 2, 5]) if (factor * unit >= least) return factor * unit
  }
}
