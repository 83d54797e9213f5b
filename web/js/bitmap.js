// The cells of the map as pixels: one pass over the bitmap, whatever the number of slots.

import { rgb } from './theme.js'

const opaque = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0

/** ImageData of the map's box. Rows that hold several slots show their mixture. */
export function mapPixels(place, decision, colours) {
  const { map, columns, columnGap, rows } = place
  const { steps, choices } = decision
  const width = map.right - map.left
  const height = map.bottom - map.top
  const image = new ImageData(width, height)
  const pixels = new Uint32Array(image.data.buffer)
  const gap = opaque(rgb(colours.background))
  const mixture = mixtures(rgb(colours.subject), rgb(colours.style))

  let previous = null
  for (let y = 0; y < height; y++) {
    const owner = rows.owner[y]
    const start = y * width
    if (owner === null) {
      pixels.fill(gap, start, start + width)
    } else if (previous && owner[0] === previous[0] && owner[1] === previous[1]) {
      pixels.copyWithin(start, start - width, start)
    } else {
      for (let step = 0; step < steps; step++) {
        const left = start + columns[step] - map.left
        const right = start + columns[step + 1] - map.left
        pixels.fill(mixture(shareOf(choices, owner, step, steps)), left, right - columnGap)
        pixels.fill(gap, right - columnGap, right)
      }
    }
    previous = owner
  }
  return image
}

function shareOf(choices, [first, last], step, steps) {
  let style = 0
  for (let slot = first; slot <= last; slot++) style += choices[slot * steps + step]
  return style / (last - first + 1)
}

/** share of the style -> pixel; mixed in linear light, as the eye sees fine stripes. */
function mixtures(subject, style) {
  const cache = new Map()
  const linear = (v) => (v / 255) ** 2.2
  const mix = (a, b, share) => Math.round(255 * (linear(a) * (1 - share) + linear(b) * share) ** (1 / 2.2))
  return (share) => {
    if (!cache.has(share)) cache.set(share, opaque(subject.map((value, i) => mix(value, style[i], share))))
    return cache.get(share)
  }
}
