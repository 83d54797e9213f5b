// The sampler runs that the server told of one node, while its settings are the ones they ran with.

import { joined } from './columns.js'

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
   * Where step `step` of the last run lies; null where a run of `steps` steps is not the last one.
   * @param {number} step @param {number} steps
   */
  placeOf(step, steps) {
    const last = joined(this.#runs)
    if (!last || last.run.x.length - last.first !== steps) return null
    const column = last.first + step
    return { column, x: last.run.x[column] }
  }
}

/** `value` as what did not run, or null. @param {any} value @returns {Unseen | null} */
export function readUnseen(value) {
  const { layers, of, whole } = value ?? {}
  const isText = (/** @type {any} */ layer) => typeof layer === 'string'
  return Array.isArray(layers) && layers.every(isText) && Number.isInteger(of) ? { layers, of, whole: !!whole } : null
}
