// What a hand paints on the map of a node: which LoRA, on which row of LoRA Set, and what that row says meanwhile.

import { rowAt, rowPlaces } from '../../graph/rows.js'
import { setWidgets } from '../../graph/widgets.js'
import { canPaint } from '../../methods/hand.js'
import { isReadable, rowsThatRan, stroked } from '../../methods/rows.js'

/**
 * @typedef {import('../../decision/decision.js').Row} Row
 * @typedef {import('../../decision/document.js').PlanDocument} PlanDocument
 * @typedef {import('../../view/telling.js').Painting} Painting
 * @typedef {import('../../methods/rows.js').Stroke} Stroke
 */

export class Hand {
  #app
  #node
  /** @type {number | null} */
  #lora = null
  /** What the row of that LoRA would say, while a stroke lasts. @type {Row | null} */
  #meanwhile = null
  /** The last stroke could not be done. */
  #split = false

  /** @param {any} app @param {any} node */
  constructor(app, node) {
    this.#app = app
    this.#node = node
  }

  /** The LoRA that is chosen, by its number. */
  get lora() {
    return this.#lora
  }

  /** Paints a LoRA from now on, by its number; null for none. @param {number | null} lora */
  choose(lora) {
    this.#lora = lora
    this.#meanwhile = null
    this.#split = false
  }

  /** What the rows say now. @param {PlanDocument} plan @returns {import('../../decision/decision.js').ByHand} */
  rows(plan) {
    const { rootGraph } = this.#app
    const rows = rowPlaces(this.#node, plan, rootGraph).map((place) => rowAt(place, rootGraph))
    if (this.#meanwhile && this.#lora !== null) rows[this.#lora] = this.#meanwhile
    return { rows, painting: this.#lora !== null && this.#lora < rows.length && !this.#why(plan) ? this.#lora : null }
  }

  /** What the map tells of it; null where nothing can be painted there. @param {PlanDocument} plan @returns {Painting | null} */
  painting(plan) {
    if (!canPaint(plan)) return null
    const loras = plan.page.labels ?? []
    const lora = this.#lora !== null && this.#lora < loras.length ? this.#lora : null
    const row = lora === null ? null : this.rows(plan).rows[lora]
    return { loras, lora, row, why: lora === null ? null : (this.#why(plan) ?? (this.#split ? 'split' : null)) }
  }

  /**
   * A stroke, of which `done` says whether it is over: only then the row is set. Null: it is given up.
   * @param {Stroke | null} stroke @param {boolean} done @param {PlanDocument} plan @param {Float64Array} xs
   */
  stroke(stroke, done, plan, xs) {
    const { rootGraph } = this.#app
    const lora = this.#lora
    this.#meanwhile = null
    if (lora === null || !stroke || this.#why(plan)) return
    const place = rowPlaces(this.#node, plan, rootGraph)[lora]
    const before = rowAt(place, rootGraph)
    const after = before && stroked(stroke, before, { document: plan, lora, xs })
    this.#split = !after
    if (!after) return
    const { start, end, blocks } = after
    if (done) setWidgets(place.node, { start, end, blocks }, this.#app)
    else this.#meanwhile = after
  }

  /** Why the LoRA can't be painted that is chosen. @param {PlanDocument} plan @returns {Painting['why']} */
  #why(plan) {
    const { rootGraph } = this.#app
    const lora = this.#lora ?? 0
    const place = rowPlaces(this.#node, plan, rootGraph)[lora]
    if (!place || place.why) return place?.why ?? 'changed'
    const row = rowAt(place, rootGraph)
    return row && isReadable(row, rowsThatRan(plan)[lora]) ? null : 'unreadable'
  }
}
