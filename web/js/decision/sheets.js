// The sheets that a page has seen, of all its nodes: undo makes nodes anew, and goes back to earlier rounds. Pure.

const KEPT = 64

/**
 * `settings` are what else decided on it, as text.
 * @typedef {{ sheet: import('./sheet.js').Sheet, settings: string }} Seen
 */

export class Sheets {
  /** The last one that was put in last. @type {Map<string, Seen>} */
  #seen = new Map()

  /** @param {string} node @param {string} picks what decides on it, see `sheetOf` */
  of(node, picks) {
    return this.#seen.get(keyOf(node, picks)) ?? null
  }

  /** The newest sheet of a node. @param {string} node */
  newestOf(node) {
    const own = [...this.#seen].filter(([key]) => JSON.parse(key)[0] === node)
    return own.at(-1)?.[1] ?? null
  }

  /** @param {string} node @param {string} picks @param {Seen} seen */
  put(node, picks, seen) {
    const key = keyOf(node, picks)
    this.#seen.delete(key)
    this.#seen.set(key, seen)
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > KEPT) this.#seen.delete(oldest)
  }
}

/** @param {string} node @param {string} picks */
const keyOf = (node, picks) => JSON.stringify([node, picks])
