// How large the pictures of a sheet can be so that all are seen. Pure.

export const GAP = 4
/** Between what is not of the same noise. */
export const APART = 12
const LEAST = 40

/**
 * The width of a picture, and how many stand in a row.
 * @param {{ count: number, together: number, width: number, height: number, aspect: number }} asked pictures, of which
 * `together` stay side by side, `aspect` = width / height
 */
export function fit({ count, together, width, height, aspect }) {
  const groups = Math.max(1, Math.ceil(count / together))
  const between = together > 1 ? APART : GAP
  let best = { size: 0, columns: together }
  for (let across = 1; across <= groups; across++) {
    const columns = across * together
    const rows = Math.ceil(groups / across)
    const wide = (width - (across - 1) * between - across * (together - 1) * GAP) / columns
    const high = ((height - (rows - 1) * between) / rows) * aspect
    const size = Math.floor(Math.min(wide, high))
    if (size > best.size) best = { size, columns }
  }
  if (best.size >= LEAST) return best
  // Too many to be seen at once: as many in a row as there is room for, and the sheet scrolls.
  const across = Math.floor((width + between) / (together * LEAST + (together - 1) * GAP + between))
  return { size: LEAST, columns: Math.max(1, across) * together }
}
