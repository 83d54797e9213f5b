// The sampler runs that the server told of one node, while its settings are the ones they ran with.

import { columnAt, joined } from './columns.js'

/**
 * `layers` are those of `of` that did not run: in the first evaluation of a run, or in the `whole` of it.
 * @typedef {import('./columns.js').Run} Run
 * @typedef {{ layers: string[], of: number, whole: boolean }} Unseen
 */

export class Runs {
  /** @type {Run[]} */
  #runs = []
  #fresh = true
  /** Progress mode and shape of the graph that the runs belong to. */
  #of = ''

  /** The node that samples the last run of this prompt, null before the first. */
  get sampler() {
    return this.#fresh ? null : (this.#runs.at(-1)?.sampler ?? null)
  }

  /** Runs told from now on belong to another prompt. */
  begin() {
    this.#fresh = true
  }

  /** @param {Run} run @param {string} mode @param {string} shape */
  add(run, mode, shape) {
    const of = `${mode}\n${shape}`
    this.#runs = this.#fresh || of !== this.#of ? [run] : [...this.#runs, run]
    this.#fresh = false
    this.#of = of
  }

  /**
   * The run to draw, or null where none is known for these settings.
   * @param {string} mode @param {string} shape
   */
  shown(mode, shape) {
    return this.#of === `${mode}\n${shape}` ? (joined(this.#runs)?.run ?? null) : null
  }

  /**
   * The column of step `step` of a run of `steps` steps: its own, or the one that holds its x; null where there is none,
   * as where that run is not the last one.
   * @param {import('./columns.js').Columns | null} columns @param {number} step @param {number} steps
   */
  columnOf(columns, step, steps) {
    if (columns?.kind === 'steps' && !columns.run) return steps === columns.count ? step : null
    const last = joined(this.#runs)
    if (!columns || !last || last.run.x.length - last.first !== steps) return null
    const column = last.first + step
    return columns.kind === 'progress' ? columnAt(columns, last.run.x[column]) : column
  }
}

/** `value` as what did not run, or null. @param {any} value @returns {Unseen | null} */
export function readUnseen(value) {
  const { layers, of, whole } = value ?? {}
  const isText = (/** @type {any} */ layer) => typeof layer === 'string'
  return Array.isArray(layers) && layers.every(isText) && Number.isInteger(of) ? { layers, of, whole: !!whole } : null
}
