// The live map on a canvas: a sibling of klora_core/picture.py, small enough for a node.

import { mapPixels } from './bitmap.js'
import { LABEL, stepNumbers } from './layout.js'
import { scale } from './maths.js'

export const fontOf = (k, family) => `${LABEL * k}px ${family}`

/** Draws everything that does not follow the pointer. `words`: the labels in the page's language. */
export function drawMap(ctx, { place, decision, colours, family, words, byProgress }) {
  ctx.clearRect(0, 0, place.width, place.height)
  ctx.font = fontOf(place.k, family)
  ctx.textBaseline = 'middle'
  legend(ctx, place, colours, words)
  ctx.putImageData(mapPixels(place, decision, colours), place.map.left, place.map.top)
  depthAxis(ctx, place, colours)
  if (byProgress) progressAxis(ctx, place, place.map, colours, words.progress)
  else stepAxis(ctx, place, decision.steps, colours, words.step)
  shareBars(ctx, place, decision, colours, words)
  curve(ctx, place, decision.schedule, colours)
  progressAxis(ctx, place, place.panel, colours, words.x)
}

/** Draws what moves: the step that runs (or null) and the cell under the cursor (or null). */
export function drawOverlay(ctx, { place, colours, current, cursor }) {
  if (current !== null) runningStep(ctx, place, colours, current)
  if (cursor !== null) crossHair(ctx, place, colours, cursor)
}

function label(ctx, text, x, y, colour, align = 'left') {
  ctx.fillStyle = colour
  ctx.textAlign = align
  ctx.fillText(text, x, y)
}

function legend(ctx, { px, map }, colours, words) {
  const y = px(8) + px(9) / 2
  let x = map.left
  for (const [colour, text] of [[colours.subject, words.subject], [colours.style, words.style]]) {
    ctx.fillStyle = colour
    ctx.fillRect(x, y - px(4), px(8), px(8))
    label(ctx, text, x + px(12), y, colours.muted)
    x += px(12) + ctx.measureText(text).width + px(12)
  }
}

function depthAxis(ctx, { px, bands, marks, band, map }, colours) {
  for (const each of bands) bandBox(ctx, band, each, colours)
  for (const { at, text } of marks) label(ctx, text, map.left - px(5), at, colours.muted, 'right')
}

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

function stepAxis(ctx, { px, map, columns }, steps, colours, unit) {
  const perLabel = ctx.measureText(String(steps)).width + px(8)
  const y = map.bottom + px(9)
  for (const n of stepNumbers(steps, (perLabel * steps) / (map.right - map.left))) {
    label(ctx, String(n), (columns[n - 1] + columns[n]) / 2, y, colours.muted, 'center')
  }
  label(ctx, unit, map.right + px(6), y, colours.muted)
}

function progressAxis(ctx, { px }, box, colours, unit) {
  const y = box.bottom + px(9)
  for (const x of [0, 0.25, 0.5, 0.75, 1]) {
    const at = box.left + x * (box.right - box.left)
    label(ctx, String(x), at, y, colours.muted, x === 0 ? 'left' : x === 1 ? 'right' : 'center')
  }
  label(ctx, unit, box.right + px(6), y, colours.muted)
}

function shareBars(ctx, { px, panel, band, columns, columnGap }, { shares }, colours, words) {
  const height = panel.bottom - panel.top
  ctx.fillStyle = colours.panel
  ctx.fillRect(panel.left, panel.top, panel.right - panel.left, height)
  ctx.fillStyle = colours.style
  shares.forEach((share, step) => {
    const bar = Math.round(share * height)
    ctx.fillRect(columns[step], panel.bottom - bar, columns[step + 1] - columns[step] - columnGap, bar)
  })
  label(ctx, '100%', panel.left - px(5), panel.top + px(4), colours.muted, 'right')
  label(ctx, '0%', panel.left - px(5), panel.bottom - px(4), colours.muted, 'right')
  bandBox(ctx, band, { name: words.style, shown: true, ...panel }, colours)
}

function curve(ctx, { px, k, panel }, schedule, colours) {
  const width = panel.right - panel.left
  const values = Array.from({ length: width }, (_, i) => scale(schedule, (i + 0.5) / width))
  const ceiling = Math.max(1, ...values) * 1.1
  const yOf = (value) => panel.bottom - (value / ceiling) * (panel.bottom - panel.top)

  const one = yOf(1)
  ctx.lineWidth = Math.max(1, Math.round(k * 0.75))
  ctx.setLineDash([px(3), px(4)])
  ctx.strokeStyle = colours.muted
  line(ctx, [[panel.left, one], [panel.right, one]])
  ctx.setLineDash([])
  label(ctx, 'S = 1', panel.right + px(5), Math.min(one, panel.bottom - px(4)), colours.text)

  ctx.save()
  ctx.beginPath()
  ctx.rect(panel.left, panel.top, width, panel.bottom - panel.top)
  ctx.clip()
  ctx.lineJoin = 'round'
  for (const [thickness, colour] of [[3.6, colours.background], [1.6, colours.text]]) {
    ctx.lineWidth = thickness * k
    ctx.strokeStyle = colour
    for (const part of branches(values)) line(ctx, part.map(([i, value]) => [panel.left + i + 0.5, yOf(value)]))
  }
  ctx.restore()
  const name = schedule.name === 's*' ? 'S*' : 'S'
  const end = yOf(values[width - 1])
  const labelAt = Math.max(panel.top + px(4), Math.min(end, panel.bottom - px(4)))
  if (Math.abs(labelAt - one) >= px(11)) label(ctx, `${name}(x)`, panel.right + px(5), labelAt, colours.text)
}

/** The points of S as unbroken lines: S* falls where it wraps, and that fall is no part of it. */
function branches(values) {
  const parts = [[]]
  values.forEach((value, i) => {
    if (i && value < values[i - 1]) parts.push([])
    parts[parts.length - 1].push([i, value])
  })
  return parts
}

function line(ctx, points) {
  ctx.beginPath()
  points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)))
  ctx.stroke()
}

/** A frame around the column of the step that runs, over map and panel. */
function runningStep(ctx, { k, map, panel, columns }, colours, step) {
  const left = columns[step]
  const right = Math.max(columns[step + 1], left + 2)
  for (const { top, bottom } of [map, panel]) {
    ctx.fillStyle = colours.cursor
    ctx.globalAlpha = 0.28
    ctx.fillRect(left, top, right - left, bottom - top)
    ctx.globalAlpha = 1
    frame(ctx, left, top, right - left, bottom - top, k, colours)
  }
}

function crossHair(ctx, { k, map, panel, columns, rows }, colours, { slot, step }) {
  const top = map.top + rows.tops[slot]
  const height = Math.max(rows.bottoms[slot] - rows.tops[slot], Math.round(2 * k))
  const left = columns[step]
  const width = Math.max(columns[step + 1] - left, 2)
  frame(ctx, map.left, top, map.right - map.left, height, k * 0.8, colours)
  frame(ctx, left, top, width, height, k * 1.3, colours)
  ctx.globalAlpha = 0.35
  ctx.fillStyle = colours.cursor
  ctx.fillRect(left, panel.top, width, panel.bottom - panel.top)
  ctx.globalAlpha = 1
}

/** A light line with a dark rim: seen on amber, on blue and on any background. */
function frame(ctx, x, y, width, height, weight, colours) {
  const thin = Math.max(1, Math.round(weight))
  ctx.strokeStyle = colours.cursorRim
  ctx.lineWidth = thin * 3
  ctx.strokeRect(x, y, width, height)
  ctx.strokeStyle = colours.cursor
  ctx.lineWidth = thin
  ctx.strokeRect(x, y, width, height)
}
