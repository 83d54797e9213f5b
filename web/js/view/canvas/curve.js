// The scale that decides, drawn over the shares in the same columns.

import { isEven } from '../../decision/columns.js'
import { label } from './pen.js'

/**
 * @typedef {import('./layout.js').Place} Place
 * @typedef {import('./theme.js').Colours} Colours
 * @typedef {import('../../decision/columns.js').Columns} Columns
 * @typedef {CanvasRenderingContext2D} Context
 */

/**
 * The curve and the line at 1, where equal candidates tie. Where a column is a step at an x of its own, the
 * curve has one level a step.
 * @param {Context} ctx @param {Place} place @param {{ name: string, at: (x: number) => number }} scale
 * @param {Columns} columns @param {Colours} colours
 */
export function curve(ctx, { px, k, panel }, { name, at }, columns, colours) {
  const width = panel.right - panel.left
  const even = isEven(columns)
  const xOf = (/** @type {number} */ share) => (even ? share : columns.xs[Math.floor(share * columns.count)])
  const values = Array.from({ length: width }, (_, i) => at(xOf((i + 0.5) / width)))
  const ceiling = Math.max(1, ...values) * 1.1
  const yOf = (/** @type {number} */ value) => panel.bottom - (value / ceiling) * (panel.bottom - panel.top)

  const one = yOf(1)
  ctx.lineWidth = Math.max(1, Math.round(k * 0.75))
  ctx.setLineDash([px(3), px(4)])
  ctx.strokeStyle = colours.muted
  line(ctx, [[panel.left, one], [panel.right, one]])
  ctx.setLineDash([])
  label(ctx, `${name} = 1`, panel.right + px(5), Math.min(one, panel.bottom - px(4)), colours.text)

  const parts = even ? branches(values) : [[...values.entries()]]
  ctx.save()
  ctx.beginPath()
  ctx.rect(panel.left, panel.top, width, panel.bottom - panel.top)
  ctx.clip()
  ctx.lineJoin = 'round'
  for (const { thickness, colour } of [
    { thickness: 3.6, colour: colours.background },
    { thickness: 1.6, colour: colours.text }
  ]) {
    ctx.lineWidth = thickness * k
    ctx.strokeStyle = colour
    for (const part of parts) line(ctx, part.map(([i, value]) => [panel.left + i + 0.5, yOf(value)]))
  }
  ctx.restore()
  const end = yOf(values[width - 1])
  const labelAt = Math.max(panel.top + px(4), Math.min(end, panel.bottom - px(4)))
  if (Math.abs(labelAt - one) >= px(11)) label(ctx, `${name}(x)`, panel.right + px(5), labelAt, colours.text)
}

/**
 * The points of the curve as unbroken lines: it falls where it wraps, and that fall is no part of it.
 * @param {number[]} values
 */
function branches(values) {
  /** @type {[number, number][][]} */
  const parts = [[]]
  values.forEach((value, i) => {
    if (i && value < values[i - 1]) parts.push([])
    parts[parts.length - 1].push([i, value])
  })
  return parts
}

/** @param {Context} ctx @param {number[][]} points */
function line(ctx, points) {
  ctx.beginPath()
  points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)))
  ctx.stroke()
}
