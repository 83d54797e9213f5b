// The cells of the map as pixels: one pass over the bitmap, whatever the number of slots.

import { NOBODY } from '../decision/decision.js'
import { rgb } from './theme.js'

// A pass is drawn as a stripe of its own where a slot has this many pixel rows for each.
const STRIPE = 2

/**
 * @typedef {import('./layout.js').Place} Place
 * @typedef {import('./theme.js').Colours} Colours
 * @typedef {import('../decision/decision.js').Decision} Decision
 */

/** @param {number[]} colour */
const opaque = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0

/**
 * ImageData of the map's box. Rows that hold several slots, or several passes too low for stripes of their
 * own, show their mixture.
 * @param {Place} place @param {Decision} decision @param {Colours} colours
 */
export function mapPixels(place, decision, colours) {
  const { map, columns, columnGap, rows } = place
  const width = map.right - map.left
  const height = map.bottom - map.top
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const gap = opaque(rgb(colours.background))
  const mixture = mixtures([...colours.candidates, colours.panel].map(rgb))

  let previous = ''
  for (let y = 0; y < height; y++) {
    const shown = shownAt(rows, y, decision.passes)
    const start = y * width
    const key = shown ? `${shown.slots} ${shown.passes}` : ''
    if (!shown) {
      pixels.fill(gap, start, start + width)
    } else if (previous === key) {
      pixels.copyWithin(start, start - width, start)
    } else {
      for (let column = 0; column < decision.columns.count; column++) {
        const left = start + columns[column] - map.left
        const right = start + columns[column + 1] - map.left
        pixels.fill(mixture(countsOf(decision, shown, column, colours.candidates.length)), left, right - columnGap)
        pixels.fill(gap, right - columnGap, right)
      }
    }
    previous = key
  }
  return image
}

/**
 * The slots and passes, [first, last] each, that pixel row `y` shows; null in a gap.
 * @param {Place['rows']} rows @param {number} y @param {number} passes
 */
function shownAt(rows, y, passes) {
  const slots = rows.owner[y]
  if (slots === null) return null
  const [first, last] = slots
  const height = rows.bottoms[first] - rows.tops[first] - rows.cellGap
  if (first !== last || height < STRIPE * passes) return { slots, passes: [0, passes - 1] }
  const pass = Math.min(passes - 1, Math.floor(((y - rows.tops[first]) * passes) / height))
  return { slots, passes: [pass, pass] }
}

/**
 * How often each candidate, and at the end nobody, is used in a column.
 * @param {Decision} decision @param {{ slots: number[], passes: number[] }} shown @param {number} column
 * @param {number} candidates
 */
function countsOf({ choices, columns, passes }, shown, column, candidates) {
  const counts = new Array(candidates + 1).fill(0)
  for (let slot = shown.slots[0]; slot <= shown.slots[1]; slot++) {
    for (let pass = shown.passes[0]; pass <= shown.passes[1]; pass++) {
      const winner = choices[(slot * columns.count + column) * passes + pass]
      counts[winner === NOBODY ? candidates : winner] += 1
    }
  }
  return counts
}

/**
 * counts of colours -> pixel; mixed in linear light, as the eye sees fine stripes.
 * @param {number[][]} colours
 */
function mixtures(colours) {
  const cache = new Map()
  const linear = (/** @type {number} */ value) => (value / 255) ** 2.2
  return (/** @type {number[]} */ counts) => {
    const key = counts.join()
    if (!cache.has(key)) {
      const all = counts.reduce((sum, count) => sum + count, 0)
      const mixed = [0, 1, 2].map((channel) => {
        const sum = counts.reduce((light, count, i) => light + (count / all) * linear(colours[i][channel]), 0)
        return Math.round(255 * sum ** (1 / 2.2))
      })
      cache.set(key, opaque(mixed))
    }
    return cache.get(key)
  }
}
