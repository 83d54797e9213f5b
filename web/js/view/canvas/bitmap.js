// The cells of the map as pixels: one pass over the bitmap, whatever the number of slots.

import { NOBODY } from '../../decision/decision.js'
import { rgb } from './theme.js'

// Width of a stripe in CSS pixels, as in the picture.
const STRIPE = 3
// How much of its colour the weakest has, as in the picture; of its light less, as the eye sees it.
const PALEST = 0.3
const EYE = 2.2

/**
 * @typedef {import('./layout.js').Place} Place
 * @typedef {import('./theme.js').Colours} Colours
 * @typedef {import('../../decision/decision.js').Decision} Decision
 */

/** @param {number[]} colour */
const opaque = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0

/**
 * ImageData of the map's box. Rows that hold several slots show their mixture; several passes lie in diagonal
 * stripes.
 * @param {Place} place @param {Decision} decision @param {Colours} colours
 */
export function mapPixels(place, decision, colours) {
  const { map, columns, columnGap, rows } = place
  const { passes } = decision
  const width = map.right - map.left
  const height = map.bottom - map.top
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const gap = opaque(rgb(colours.background))
  const mixture = mixtures([...colours.candidates, colours.panel].map(rgb))
  const stripe = Math.max(1, place.px(STRIPE))

  let previous = null
  for (let y = 0; y < height; y++) {
    const owner = rows.owner[y]
    const start = y * width
    const same = previous && owner && owner[0] === previous[0] && owner[1] === previous[1]
    if (!owner) {
      pixels.fill(gap, start, start + width)
    } else if (same && passes === 1) {
      pixels.copyWithin(start, start - width, start)
    } else {
      for (let column = 0; column < decision.columns.count; column++) {
        const left = start + columns[column] - map.left
        const right = start + columns[column + 1] - map.left
        const counts = countsOf(decision, owner, column, colours.candidates.length)
        hatch(pixels, left, right - columnGap, counts.map(mixture), (y + columns[column] - map.left) / stripe, stripe)
        pixels.fill(gap, right - columnGap, right)
      }
    }
    previous = owner
  }
  return image
}

/**
 * One colour, or several in stripes of `stripe` pixels, the first of them at `phase` stripes.
 * @param {Uint32Array} pixels @param {number} left @param {number} right @param {number[]} paint
 * @param {number} phase @param {number} stripe
 */
function hatch(pixels, left, right, paint, phase, stripe) {
  if (paint.length === 1) {
    pixels.fill(paint[0], left, right)
    return
  }
  for (let at = left; at < right; at++) pixels[at] = paint[Math.floor(phase + (at - left) / stripe) % paint.length]
}

/**
 * For each pass, how often each candidate, and at the end nobody, is used by the slots in a column; or how much, the
 * weaker the more like nobody.
 * @param {Decision} decision @param {[number, number]} slots first and last
 * @param {number} column @param {number} candidates
 */
function countsOf({ choices, columns, passes, mixed, depths }, [first, last], column, candidates) {
  const counts = Array.from({ length: passes }, () => new Array(candidates + 1).fill(0))
  for (let slot = first; slot <= last; slot++) {
    if (mixed) {
      const cell = (slot * columns.count + column) * candidates
      for (let each = 0; each < candidates; each++) counts[0][each] += mixed[cell + each]
      continue
    }
    for (let pass = 0; pass < passes; pass++) {
      const at = (slot * columns.count + column) * passes + pass
      const share = depths && choices[at] !== NOBODY ? (PALEST + (1 - PALEST) * depths[at]) ** EYE : 1
      counts[pass][choices[at] === NOBODY ? candidates : choices[at]] += share
      counts[pass][candidates] += 1 - share
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
  const linear = (/** @type {number} */ value) => (value / 255) ** EYE
  return (/** @type {number[]} */ counts) => {
    const key = counts.join()
    if (!cache.has(key)) {
      const all = counts.reduce((sum, count) => sum + count, 0)
      const mixed = [0, 1, 2].map((channel) => {
        const sum = counts.reduce((light, count, i) => light + (count / all) * linear(colours[i][channel]), 0)
        return Math.round(255 * sum ** (1 / EYE))
      })
      cache.set(key, opaque(mixed))
    }
    return cache.get(key)
  }
}
