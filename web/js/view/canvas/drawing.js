// The live map on a canvas: a sibling of klora_core/picture, small enough for a node.

import { isEven } from '../../decision/columns.js'
import { mapPixels } from './bitmap.js'
import { curve } from './curve.js'
import { LABEL, stepNumbers } from './layout.js'
import { label } from './pen.js'

/**
 * @typedef {import('./layout.js').Place} Place
 * @typedef {import('./layout.js').Box} Box
 * @typedef {import('./theme.js').Colours} Colours
 * @typedef {import('../../decision/decision.js').Decision} Decision
 * @typedef {import('../../decision/columns.js').Columns} Columns
 * @typedef {CanvasRenderingContext2D} Context
 * Labels in the page's language; `candidates` are those of the document, `legend` one for each family of them.
 * @typedef {{
 *   step: string, x: string, share: string, candidates: string[], legend: { name: string, candidate: number }[]
 * }} Labels
 */

/** @param {number} k @param {string} family */
export const fontOf = (k, family) => `${LABEL * k}px ${family}`

/**
 * Draws everything that does not follow the pointer.
 * @param {Context} ctx
 * @param {{
 *   place: Place, decision: Decision, shares: Float64Array[], colours: Colours, family: string, labels: Labels
 * }} what
 */
export function drawMap(ctx, { place, decision, shares, colours, family, labels }) {
  const { columns } = decision
  ctx.clearRect(0, 0, place.width, place.height)
  ctx.font = fontOf(place.k, family)
  ctx.textBaseline = 'middle'
  legend(ctx, place, colours, labels.legend)
  ctx.putImageData(mapPixels(place, decision, colours), place.map.left, place.map.top)
  depthAxis(ctx, place, colours)
  if (columns.kind === 'steps') stepAxis(ctx, place, columns.count, colours, labels.step)
  else progressAxis(ctx, place, place.map, colours, labels.x)
  shareBars(ctx, place, shares, colours, labels)
  if (decision.curve) curve(ctx, place, decision.curve, columns, colours)
  if (isEven(columns)) progressAxis(ctx, place, place.panel, colours, labels.x)
  else unevenAxis(ctx, place, columns, colours, labels.x)
}

/**
 * Draws what moves: the column that runs (or null) and the cell under the cursor (or null).
 * @param {Context} ctx
 * @param {{
 *   place: Place, colours: Colours, current: number | null, cursor: import('./layout.js').Cell | null
 * }} what
 */
export function drawOverlay(ctx, { place, colours, current, cursor }) {
  if (current !== null) runningColumn(ctx, place, colours, current)
  if (cursor !== null) crossHair(ctx, place, colours, cursor)
}

/**
 * A chip and a name for each family, as far as they fit.
 * @param {Context} ctx @param {Place} place @param {Colours} colours @param {Labels['legend']} families
 */
function legend(ctx, { px, map, width }, colours, families) {
  const y = px(8) + px(9) / 2
  let x = map.left
  families.forEach(({ name, candidate }) => {
    const end = x + px(12) + ctx.measureText(name).width
    if (end > width) return
    ctx.fillStyle = colours.candidates[candidate]
    ctx.fillRect(x, y - px(4), px(8), px(8))
    label(ctx, name, x + px(12), y, colours.muted)
    x = end + px(12)
  })
}

/** @param {Context} ctx @param {Place} place @param {Colours} colours */
function depthAxis(ctx, { px, bands, marks, band, map }, colours) {
  for (const each of bands) bandBox(ctx, band, each, colours)
  for (const { at, text } of marks) label(ctx, text, map.left - px(5), at, colours.muted, 'right')
}

/**
 * @param {Context} ctx @param {{ left: number, right: number }} sides @param {import('./layout.js').Band} band
 * @param {Colours} colours
 */
function bandBox(ctx, { left, right }, { name, top, bottom, shown }, colours) {
  ctx.fillStyle = colours.band
  ctx.fillRect(left, top, right - left, bottom - top)
  if (!shown) return
  ctx.save()
  ctx.translate((left + right) / 2, (top + bottom) / 2)
  ctx.rotate(-Math.PI / 2)
  label(ctx, name, 0, 0, colours.text, 'center')
  ctx.restore()
}

/**
 * Step numbers whose labels of `width` pixels do not touch.
 * @param {Place} place @param {number} count @param {number} width
 */
const spaced = ({ px, map }, count, width) => stepNumbers(count, ((width + px(8)) * count) / (map.right - map.left))

/** @param {Place} place @param {number} column */
const middleOf = ({ columns }, column) => (columns[column] + columns[column + 1]) / 2

/**
 * @param {Context} ctx @param {Place} place @param {number} count @param {Colours} colours
 * @param {string} unit
 */
function stepAxis(ctx, place, count, colours, unit) {
  const { px, map } = place
  const y = map.bottom + px(9)
  for (const n of spaced(place, count, ctx.measureText(String(count)).width)) {
    label(ctx, String(n), middleOf(place, n - 1), y, colours.muted, 'center')
  }
  label(ctx, unit, map.right + px(6), y, colours.muted)
}

/** @param {Context} ctx @param {Place} place @param {Box} box @param {Colours} colours @param {string} unit */
function progressAxis(ctx, { px }, box, colours, unit) {
  const y = box.bottom + px(9)
  for (const x of [0, 0.25, 0.5, 0.75, 1]) {
    const at = box.left + x * (box.right - box.left)
    label(ctx, String(x), at, y, colours.muted, x === 0 ? 'left' : x === 1 ? 'right' : 'center')
  }
  label(ctx, unit, box.right + px(6), y, colours.muted)
}

/**
 * x of single columns, where it does not grow evenly.
 * @param {Context} ctx @param {Place} place @param {Columns} columns @param {Colours} colours
 * @param {string} unit
 */
function unevenAxis(ctx, place, { count, xs }, colours, unit) {
  const { px, panel } = place
  const y = panel.bottom + px(9)
  for (const n of spaced(place, count, ctx.measureText('0.00').width)) {
    label(ctx, xs[n - 1].toFixed(2), middleOf(place, n - 1), y, colours.muted, 'center')
  }
  label(ctx, unit, panel.right + px(6), y, colours.muted)
}

/**
 * The shares of all candidates but the first, stacked from the last one up: what is left is the first one's.
 * Where a pass uses nobody, that would be wrong, and the first one is drawn too.
 * @param {Context} ctx @param {Place} place @param {Float64Array[]} shares @param {Colours} colours
 * @param {Labels} labels
 */
function shareBars(ctx, { px, panel, band, columns, columnGap }, shares, colours, labels) {
  const height = panel.bottom - panel.top
  ctx.fillStyle = colours.panel
  ctx.fillRect(panel.left, panel.top, panel.right - panel.left, height)
  const full = shares[0].every((_, column) => shares.reduce((sum, share) => sum + share[column], 0) > 1 - 1e-9)
  shares[0].forEach((_, column) => {
    let sum = 0
    for (let candidate = shares.length - 1; candidate >= (full ? 1 : 0); candidate--) {
      const from = Math.round(sum * height)
      sum += shares[candidate][column]
      const to = Math.round(sum * height)
      ctx.fillStyle = colours.candidates[candidate]
      ctx.fillRect(columns[column], panel.bottom - to, columns[column + 1] - columns[column] - columnGap, to - from)
    }
  })
  label(ctx, '100%', panel.left - px(5), panel.top + px(4), colours.muted, 'right')
  label(ctx, '0%', panel.left - px(5), panel.bottom - px(4), colours.muted, 'right')
  const name = shares.length === 2 && full ? labels.candidates[1] : labels.share
  bandBox(ctx, band, { name, shown: true, ...panel }, colours)
}

/**
 * A frame around the column that runs, over map and panel.
 * @param {Context} ctx @param {Place} place @param {Colours} colours @param {number} column
 */
function runningColumn(ctx, { k, map, panel, columns }, colours, column) {
  const left = columns[column]
  const right = Math.max(columns[column + 1], left + 2)
  for (const { top, bottom } of [map, panel]) {
    ctx.fillStyle = colours.cursor
    ctx.globalAlpha = 0.28
    ctx.fillRect(left, top, right - left, bottom - top)
    ctx.globalAlpha = 1
    frame(ctx, left, top, right - left, bottom - top, k, colours)
  }
}

/**
 * @param {Context} ctx @param {Place} place @param {Colours} colours
 * @param {{ slot: number, column: number }} cell
 */
function crossHair(ctx, { k, map, panel, columns, rows }, colours, { slot, column }) {
  const top = map.top + rows.tops[slot]
  const height = Math.max(rows.bottoms[slot] - rows.tops[slot], Math.round(2 * k))
  const left = columns[column]
  const width = Math.max(columns[column + 1] - left, 2)
  frame(ctx, map.left, top, map.right - map.left, height, k * 0.8, colours)
  frame(ctx, left, top, width, height, k * 1.3, colours)
  ctx.globalAlpha = 0.35
  ctx.fillStyle = colours.cursor
  ctx.fillRect(left, panel.top, width, panel.bottom - panel.top)
  ctx.globalAlpha = 1
}

/**
 * A light line with a dark rim: seen on any candidate's colour and on any background.
 * @param {Context} ctx @param {number} x @param {number} y @param {number} width @param {number} height
 * @param {number} weight @param {Colours} colours
 */
function frame(ctx, x, y, width, height, weight, colours) {
  const thin = Math.max(1, Math.round(weight))
  ctx.strokeStyle = colours.cursorRim
  ctx.lineWidth = thin * 3
  ctx.strokeRect(x, y, width, height)
  ctx.strokeStyle = colours.cursor
  ctx.lineWidth = thin
  ctx.strokeRect(x, y, width, height)
}
